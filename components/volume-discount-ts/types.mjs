// Writes types/till.d.ts: the contract as TypeScript, by jco. For maintainers, after wit/ has changed:
//
//     npm install --no-save @bytecodealliance/jco-transpile@0.15.0 && node types.mjs
//
// jco's types are for engines that hand 64-bit numbers over as bigint and leave out what is none; QuickJS
// hands over numbers and null, so that is what is written.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { $init, generateTypes } from "@bytecodealliance/jco-transpile/component";

await $init;
const here = dirname(fileURLToPath(import.meta.url));
const wit = join(here, "..", "..", "wit");
const files = readdirSync(wit).filter((name) => name.endsWith(".wit")).sort();
const texts = files.map((name) => readFileSync(join(wit, name), "utf8"));
const digest = createHash("sha256").update(texts.join("")).digest("hex");
const source = "package till:checkout@0.1.2;\n" + texts.join("\n").replaceAll(/^package .*$/gm, "");

const modules = new Map();
for (const world of ["pricing", "promotion", "risk", "shipping", "tax"]) {
    const made = generateTypes("till", {
        wit: { tag: "source", val: source },
        world,
        guest: true,
        tlaCompat: false,
        features: { tag: "list", val: [] },
        flagsAsBigint: false,
        variantsInlineCases: false,
        useNamespaceObjects: false,
        enumValuesScreamingSnakeCase: false,
    });
    for (const [name, bytes] of made) {
        if (name.startsWith("interfaces/")) modules.set(name, new TextDecoder().decode(bytes));
    }
}
const text = [...modules.keys()].sort().map((name) => modules.get(name)).join("\n")
    .replaceAll(/^\/\/\/ <reference .*\n/gm, "")
    .replaceAll(/\bbigint\b/g, "number")
    .replaceAll(/^( +\w+)\?: (.*),$/gm, "$1?: $2 | null,")
    .replaceAll(/\| undefined\b/g, "| null")
    .replaceAll(/ +$/gm, "");
const head = `// The contract as TypeScript, made from wit/ (sha256 ${digest}) by jco.\n\n`;
writeFileSync(join(here, "types", "till.d.ts"), head + text);
