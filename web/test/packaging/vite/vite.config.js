export default { build: { target: "es2022" }, worker: { format: "es" }, server: { host: "127.0.0.1" } };
