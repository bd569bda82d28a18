"""The stores behind `kato_service.processor.ports`; the only room that knows databases."""
