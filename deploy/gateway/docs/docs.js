// Shows the reference of all services or of one; which one is kept in the address (?service=orders).
"use strict";

const chooser = document.getElementById("service");
const link = document.getElementById("document");

function show(service) {
  const url = service ? `/docs/openapi/${service}.json` : "/docs/openapi.json";
  chooser.value = service;
  link.href = url;
  document.title = service ? `${service} · Cartwright API` : "Cartwright API";
  SwaggerUIBundle({
    url,
    domNode: document.getElementById("reference"),
    deepLinking: true,
    docExpansion: service ? "list" : "none",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    validatorUrl: null,
  });
}

function wanted() {
  const service = new URLSearchParams(location.search).get("service") ?? "";
  return [...chooser.options].some((option) => option.value === service) ? service : "";
}

chooser.addEventListener("change", () => {
  const query = chooser.value ? `?service=${chooser.value}` : "";
  history.pushState(null, "", location.pathname + query);
  show(chooser.value);
});
window.addEventListener("popstate", () => {
  if (chooser.value !== wanted()) show(wanted());
});
show(wanted());
