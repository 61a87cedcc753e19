import { defineConfig } from "vite";

export default defineConfig({
  // No React plugin: esbuild compiles JSX by itself, and one dependency less beats hot reload that keeps state.
  esbuild: { jsx: "automatic" },
  build: { outDir: "dist", assetsDir: "assets", target: "es2022" },
  server: { proxy: { "/api": process.env.TENFOLD_URL ?? "http://127.0.0.1:8080" } },
});
