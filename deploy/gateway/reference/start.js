// Shows openapi.yaml on /docs with Scalar's API reference, as a page that talks to nobody but this gateway.
'use strict';

Scalar.createApiReference('#reference', {
  url: 'openapi.json',
  // What would go elsewhere is off: fonts, usage figures, an assistant, a proxy for trying calls, links to a hosted client.
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  proxyUrl: '',
  hideClientButton: true,
  showDeveloperTools: 'never',
  // A key is kept in memory alone, until the page is left.
  persistAuth: false,
  authentication: { preferredSecurityScheme: 'apiKey' },
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
  documentDownloadType: 'both',
  // A field's type is told as what it is, string for one, and not as the name of its schema.
  hideModelNames: true,
  orderSchemaPropertiesBy: 'preserve',
});
