// BullMQ with fastify: `node bullmq_side.cjs front PORT` or `node bullmq_side.cjs worker`.
const { createHmac, timingSafeEqual } = require("node:crypto");
const { appendFileSync } = require("node:fs");
const { Queue, Worker } = require("bullmq");

const connection = { host: "127.0.0.1", port: Number(process.env.BENCH_REDIS_PORT), maxRetriesPerRequest: null };

// A job that is done is kept as long as ours, so that a delivery that comes again is known by its id.
function kept(id) {
  return process.env.BENCH_PLAIN ? { removeOnComplete: true } : { jobId: id, removeOnComplete: { age: 30 * 86400 } };
}

function serve(port) {
  const queue = new Queue("peer", { connection });
  const app = require("fastify")();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => done(null, body));
  app.post("/webhooks/quickbooks", async (request, reply) => {
    const wanted = createHmac("sha256", process.env.BENCH_VERIFIER).update(request.body).digest();
    const given = Buffer.from(request.headers["intuit-signature"] || "", "base64");
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return reply.code(401).send();
    for (const event of JSON.parse(request.body)) {
      await queue.add("record", { id: event.id }, { ...kept(event.id), attempts: 20 });
    }
    return reply.code(200).send();
  });
  app.listen({ port, host: "127.0.0.1" });
}

function work() {
  new Worker("peer", async (job) => appendFileSync(process.env.BENCH_EFFECTS, `${job.data.id}\n`),
    { connection, concurrency: 50 });
}

if (process.argv[2] === "front") serve(Number(process.argv[3]));
else work();
