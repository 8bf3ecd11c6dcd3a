// Lists the operations and types of openapi.json.
"use strict";

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function typeName(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.oneOf || schema.anyOf || schema.allOf;
  if (choices) return choices.map(typeName).join(" | ");
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  const kinds = [schema.type].flat().filter(Boolean);
  return kinds.map((kind) => (kind === "array" ? `list of ${typeName(schema.items)}` : kind)).join(" | ") || "any";
}

function linked(schema) {
  const words = typeName(schema).split(/(\w+)/).map((word) => (document.getElementById("type-" + word) ? node("a", { href: "#type-" + word }, word) : word));
  return node("code", {}, ...words);
}

function table(heads, rows) {
  return node("div", { class: "scroll" }, node("table", {},
    node("thead", {}, node("tr", {}, ...heads.map((head) => node("th", { scope: "col" }, head)))),
    node("tbody", {}, ...rows.map((cells) => node("tr", {}, ...cells.map((cell) => node("td", {}, cell)))))));
}

function operation(path, method, { summary = "", description = "", parameters = [], requestBody, responses = {} }) {
  const content = (body) => Object.values(body?.content || {})[0]?.schema;
  const parts = [node("p", {}, description || summary)];
  if (parameters.length) parts.push(table(["Parameter", "In", "Type", ""], parameters.map((p) => [node("code", {}, p.name), p.in, linked(p.schema), p.description || ""])));
  if (requestBody) parts.push(node("p", {}, "Body: ", linked(content(requestBody))));
  parts.push(table(["Status", "Answer", ""], Object.entries(responses).map(([status, r]) => [status, content(r) ? linked(content(r)) : "–", r.description || ""])));
  return node("details", {}, node("summary", {}, node("span", { class: "method" }, method.toUpperCase()), node("code", {}, path), " ", summary), ...parts);
}

function type([name, schema]) {
  const fields = Object.entries(schema.properties || {}).map(([field, s]) => [node("code", {}, field), linked(s), ((schema.required || []).includes(field) ? "" : "optional. ") + (s.description || "")]);
  return [node("p", {}, schema.description || ""), fields.length ? table(["Field", "Type", ""], fields) : linked(schema)];
}

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  document.getElementById("version").textContent = `API ${api.info.version}`;
  document.getElementById("about").textContent = api.info.description || "";
  const types = Object.entries(api.components.schemas).sort();
  document.getElementById("types").append(...types.map(([name]) => node("details", { id: "type-" + name }, node("summary", {}, node("code", {}, name)))));
  types.forEach((entry) => document.getElementById("type-" + entry[0]).append(...type(entry)));
  document.getElementById("operations").append(...Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).filter(([, o]) => o.responses).map(([method, o]) => operation(path, method, o))));
  window.addEventListener("hashchange", () => { const target = document.querySelector(location.hash); if (target) target.open = true; });
  document.body.dataset.ready = "true";
}

start();
