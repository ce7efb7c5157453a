// Makes the component: types are checked, then replaced by blanks, and what is left goes into QuickJS.
// Because only blanks are put in, a stack trace names the lines and columns of your TypeScript.
//
//     node build.mjs [--wit FOLDER] [--world NAME] [--out FILE]
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

process.chdir(dirname(fileURLToPath(import.meta.url)));
const project = JSON.parse(readFileSync("till.json", "utf8"));
const { values: options } = parseArgs({
    options: {
        wit: { type: "string", default: "wit" },
        world: { type: "string", default: project.slot },
        out: { type: "string", default: project.wasm },
    },
});

// The tools, exactly those of the lock file. The first time this needs the network.
const lock = createHash("sha256").update(readFileSync("package-lock.json")).digest("hex");
const stamp = join("node_modules", ".lock-sha256");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
    run("npm", ["ci", "--no-audit", "--no-fund"], "npm comes with node (https://nodejs.org, 20 or newer)");
    writeFileSync(stamp, lock);
}
const { transformSync } = await import("@swc/wasm-typescript");
const { componentize } = await import("componentize-qjs");

run(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", "."]);

const plain = resolve("build", "src");
rmSync(plain, { recursive: true, force: true });
for (const name of readdirSync("src", { recursive: true }).filter((name) => name.endsWith(".ts"))) {
    const { code } = transformSync(readFileSync(join("src", name), "utf8"), { mode: "strip-only" });
    mkdirSync(dirname(join(plain, name)), { recursive: true });
    writeFileSync(join(plain, name), code);
}
const entry = join(plain, "component.ts");
const { component } = await componentize({
    witPath: resolve(options.wit),
    world: options.world,
    jsSource: readFileSync(entry, "utf8"),
    jsPath: entry,
    moduleRoot: dirname(plain),
    sync: true, // The host runs guests on one line of execution.
});
mkdirSync(dirname(options.out), { recursive: true });
writeFileSync(options.out, component);

/** Runs a program in this folder; ends with it when it fails. */
function run(program, args, hint) {
    const { error, status } = spawnSync(program, args, { stdio: "inherit" });
    if (error) {
        console.error(`${program} cannot be started: ${error.message}${hint ? `. ${hint}` : ""}`);
        process.exit(1);
    }
    if (status !== 0) process.exit(status ?? 1);
}
