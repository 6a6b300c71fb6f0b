import js from "@eslint/js";
import typescript from "typescript-eslint";

export default typescript.config(
  js.configs.recommended,
  { files: ["**/*.ts", "**/*.tsx"], extends: [typescript.configs.strictTypeChecked] },
  {
    files: ["**/*.ts", "**/*.tsx"],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "no-console": "error",
      // Bytes and counts are written as they are.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `x ??= …` reads x; tsc finds what is unused.
      "no-unused-private-class-members": "off",
      "@typescript-eslint/no-confusing-void-expression": "off",
    },
  },
);
