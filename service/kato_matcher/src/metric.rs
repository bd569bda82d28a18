//! The metrics by their names (engine.md, section 4).

/// What predictions can be ranked by.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the names are those of engine.md
pub enum Metric {
    Potential,
    Similarity,
    Evidence,
    Confidence,
    Snr,
    Fragmentation,
    Frequency,
    Entropy,
    NormalizedEntropy,
    GlobalNormalizedEntropy,
    ItfdfSimilarity,
    Confluence,
    PredictiveInformation,
    BayesianPrior,
    BayesianLikelihood,
    BayesianPosterior,
    TfidfScore,
    WeightedSimilarity,
    WeightedEvidence,
    WeightedConfidence,
    WeightedSnr,
}

impl Metric {
    /// The metric of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "potential" => Self::Potential,
            "similarity" => Self::Similarity,
            "evidence" => Self::Evidence,
            "confidence" => Self::Confidence,
            "snr" => Self::Snr,
            "fragmentation" => Self::Fragmentation,
            "frequency" => Self::Frequency,
            "entropy" => Self::Entropy,
            "normalized_entropy" => Self::NormalizedEntropy,
            "global_normalized_entropy" => Self::GlobalNormalizedEntropy,
            "itfdf_similarity" => Self::ItfdfSimilarity,
            "confluence" => Self::Confluence,
            "predictive_information" => Self::PredictiveInformation,
            "bayesian_prior" => Self::BayesianPrior,
            "bayesian_likelihood" => Self::BayesianLikelihood,
            "bayesian_posterior" => Self::BayesianPosterior,
            "tfidf_score" => Self::TfidfScore,
            "weighted_similarity" => Self::WeightedSimilarity,
            "weighted_evidence" => Self::WeightedEvidence,
            "weighted_confidence" => Self::WeightedConfidence,
            "weighted_snr" => Self::WeightedSnr,
            _ => return None,
        })
    }

    /// Whether the value is known from class and frequency, without an alignment.
    pub fn is_early(self) -> bool {
        use Metric::{BayesianLikelihood, BayesianPosterior, BayesianPrior, Frequency, Similarity};
        matches!(self, Similarity | Frequency | BayesianPrior | BayesianLikelihood | BayesianPosterior)
    }
}
