// Prints the Khronos validator's report on each given file, one JSON object per line: {file, errors, warnings, messages}.
// Needs the npm package gltf-validator, found from the working directory.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const validator = createRequire(join(process.cwd(), "package.json"))("gltf-validator");
for (const file of process.argv.slice(2)) {
  const { issues } = await validator.validateBytes(new Uint8Array(readFileSync(file)), { maxIssues: 100 });
  const { numErrors: errors, numWarnings: warnings, messages } = issues;
  console.log(JSON.stringify({ file, errors, warnings, messages }));
}
