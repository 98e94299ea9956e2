// What a JSON Schema of the document says, for people: the fields, their types and rules.

const RULES = {
  minLength: "at least {} long", maxLength: "at most {} long", minimum: "at least {}", maximum: "at most {}",
  minItems: "at least {} items", maxItems: "at most {} items", pattern: "{}", default: "default {}",
};

export class Schemas {
  #definitions;

  constructor(definitions) {
    this.#definitions = definitions;
  }

  /** The schema that a reference leads to, with what stands beside the reference. */
  resolve(schema) {
    if (!schema.$ref) return schema;
    const { $ref, ...beside } = schema;
    return { ...this.#definitions[$ref.split("/").at(-1)], ...beside };
  }

  /** A schema's type in a few words: `string or null`, `list of Message`. */
  typeOf(schema) {
    if (schema.$ref) return schema.$ref.split("/").at(-1);
    if (schema.anyOf) return schema.anyOf.map((each) => this.typeOf(each)).join(" or ");
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" or ");
    if (schema.type === "array") return `list of ${this.typeOf(schema.items ?? {})}`;
    return schema.type ?? "any JSON";
  }

  /** A schema's rules, a few words each. */
  rulesOf(schema) {
    const parts = [schema, ...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])];
    const said = parts.flatMap((part) =>
      Object.entries(RULES)
        .filter(([name]) => part[name] !== undefined && part[name] !== null)
        .map(([name, words]) => words.replace("{}", () => typeof part[name] === "string" ? part[name] : JSON.stringify(part[name]))));
    return schema.description ? [schema.description, ...said] : said;
  }

  /** The fields of an object, and of the objects in it: `{name, type, isRequired, rules}`. */
  fieldsOf(schema, prefix = "", depth = 0) {
    const whole = this.resolve(schema);
    return Object.entries(whole.properties ?? {}).flatMap(([name, field]) => {
      const path = prefix + name;
      const isRequired = (whole.required ?? []).includes(name);
      const row = { name: path, type: this.typeOf(field), isRequired, rules: this.rulesOf(field) };
      const inner = field.items ?? field.anyOf?.find((each) => each.$ref) ?? field;
      const below = inner.$ref && depth < 3 ? this.fieldsOf(inner, `${path}${field.items ? "[]" : ""}.`, depth + 1) : [];
      return [row, ...below];
    });
  }

  /** A value to begin with: the fields that an object must have, and those that it may. */
  exampleOf(schema) {
    const whole = this.resolve(schema);
    if (whole.enum) return whole.enum[0];
    if (whole.anyOf) return this.exampleOf(whole.anyOf[0]);
    if (whole.type === "integer") return whole.default ?? whole.minimum ?? 1;
    if (whole.type === "array") return whole.minItems ? [this.exampleOf(whole.items)] : [];
    if (whole.type === "object") {
      const wanted = Object.entries(whole.properties ?? {}).filter(
        ([name]) => (whole.required ?? []).includes(name) || (whole.else?.required ?? []).includes(name));
      return Object.fromEntries(wanted.map(([name, field]) => [name, EXAMPLES[name] ?? this.exampleOf(field)]));
    }
    return "text";
  }
}

const EXAMPLES = { channelId: "general", userIds: ["alice"], kind: "open", content: "Hello", name: "General" };
