"""The only room that imports Kopf: watch events come in here and are handed on; nothing is written."""
