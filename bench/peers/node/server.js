// The Node reference: Express, kafkajs, the MongoDB driver, node-redis and Socket.IO in one process.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import express from 'express';
import { Kafka, Partitioners, logLevel } from 'kafkajs';
import { MongoClient } from 'mongodb';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const { KAFKA_BROKERS, MONGODB_URI, REDIS_HOST, REDIS_PORT, PORT } = process.env;
const TOPIC = 'node-messages';

const mongo = await new MongoClient(MONGODB_URI).connect();
const messages = mongo.db('node_peer').collection('messages', { writeConcern: { w: 'majority' } });
const redis = createClient({ url: `redis://${REDIS_HOST}:${REDIS_PORT}` });
redis.on('error', console.error);
await redis.connect();

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR });
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 4 }], waitForLeaders: true });
await admin.disconnect();
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.use(express.json());
const server = http.createServer(app);
const io = new Server(server, { perMessageDeflate: false, serveClient: false });

app.post('/api/messages', async (request, response, next) => {
  try {
    const { content, channelId, senderId, senderName } = request.body;
    const message = {
      _id: randomUUID(), content, channelId, senderId, senderName, createdAt: new Date().toISOString(),
    };
    await messages.insertOne(message);
    await producer.send({
      topic: TOPIC, acks: -1, messages: [{ key: channelId, value: JSON.stringify(message) }],
    });
    response.status(201).json(message);
  } catch (error) {
    next(error);
  }
});
app.get('/readyz', (request, response) => response.json({ status: 'ok' }));

io.on('connection', (socket) => {
  socket.on('join_channel', ({ channelId }) => {
    socket.join(channelId);
    socket.emit('joined', { channelId });
  });
});

const consumer = kafka.consumer({ groupId: 'node-messages-group', maxWaitTimeInMs: 500 });
const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
await consumer.connect();
await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: 4,
  eachMessage: async ({ message: { value } }) => {
    const text = value.toString();
    const message = JSON.parse(text);
    const key = `node:messages:${message.channelId}`;
    await redis.multi().lPush(key, text).lTrim(key, 0, 99).expire(key, 3600).exec();
    io.to(message.channelId).emit('message', message);
  },
});

// The benchmark of a backlog: stop to consume, and go on.
let isPaused = false;
process.on('SIGUSR2', () => {
  isPaused = !isPaused;
  if (isPaused) consumer.pause([{ topic: TOPIC }]);
  else consumer.resume([{ topic: TOPIC }]);
});

// The group waits half a minute for a member that has not left it.
process.on('SIGTERM', async () => {
  await consumer.disconnect();
  process.exit();
});

await joined;
server.listen(Number(PORT), '127.0.0.1', 4096);
