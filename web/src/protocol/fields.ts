// What strangers' JSON says, if it is an object: else it says nothing.

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

export function readFields(json: string | undefined): Fields {
  try {
    return fieldsOf(JSON.parse(json ?? ""));
  } catch {
    return {};
  }
}
