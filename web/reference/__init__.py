"""The page that shows the OpenAPI document and tries its calls, and the page of all errors."""
