// MQTT.js against a broker, over TCP or WebSocket, in one version: QoS 0, 1 and
// 2, what belongs to a message of MQTT 5, retained messages, a will, and a
// session that is filled while its client is away. Prints "ok", or what is wrong.
//
// usage: node mqttjs.js MODULES URL VERSION
const path = require('path')
const assert = require('assert')
const [modules, url, version] = process.argv.slice(2)
const mqtt = require(path.join(modules, 'mqtt'))
const v = Number(version)
const id = (name) => `js-${v}-${url.slice(0, 2)}-${name}`

const options = (name, more) => ({
  protocolVersion: v, protocolId: v === 3 ? 'MQIsdp' : 'MQTT', clientId: id(name), clean: true,
  reconnectPeriod: 0, connectTimeout: 20000, ...more,
})
const durable = { clean: false, ...(v === 5 ? { properties: { sessionExpiryInterval: 600, receiveMaximum: 3, topicAliasMaximum: 5 } } : {}) }

// collect resolves once n messages have come.
function collect (client, n) {
  const got = []
  return new Promise((resolve) => {
    client.on('message', (topic, payload, packet) => {
      got.push({ topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, dup: packet.dup, properties: packet.properties })
      if (got.length === n) resolve(got)
    })
  })
}

async function main () {
  const base = id('t')
  const w = await mqtt.connectAsync(url, options('w'))
  const r = await mqtt.connectAsync(url, options('r', durable))
  const granted = await r.subscribeAsync({ [`${base}/+`]: { qos: 2 } })
  assert.strictEqual(granted[0].qos, 2)

  let coming = collect(r, 60)
  const big = 'x'.repeat(100000) // more than one WebSocket frame of many libraries
  const sent = []
  for (let i = 0; i < 60; i++) sent.push(w.publishAsync(`${base}/m`, i === 30 ? big : String(i), { qos: i % 3 }))
  await Promise.all(sent)
  let got = await coming
  for (let q = 0; q < 3; q++) {
    const want = []
    for (let i = q; i < 60; i += 3) want.push(i === 30 ? big : String(i))
    assert.deepStrictEqual(got.filter((m) => m.qos === q).map((m) => m.payload), want, `QoS ${q}`)
  }
  assert(got.every((m) => !m.dup && !m.retain))
  r.removeAllListeners('message')

  if (v === 5) {
    const properties = {
      payloadFormatIndicator: true, messageExpiryInterval: 300, contentType: 'text/plain', responseTopic: `${base}/answer`,
      correlationData: Buffer.from([1, 2, 3]), userProperties: { a: ['1', '2'], b: '3' },
    }
    coming = collect(r, 1)
    await w.publishAsync(`${base}/p`, 'with properties', { qos: 1, properties })
    const p = (await coming)[0].properties
    for (const k of ['payloadFormatIndicator', 'contentType', 'responseTopic', 'correlationData']) assert.deepStrictEqual(p[k], properties[k], k)
    assert.deepStrictEqual({ ...p.userProperties }, properties.userProperties)
    assert(p.messageExpiryInterval > 290 && p.messageExpiryInterval <= 300)
    r.removeAllListeners('message')
  }

  // While it is away its session is filled, also with a will.
  await r.endAsync()
  for (let i = 0; i < 20; i++) await w.publishAsync(`${base}/m`, `away ${i}`, { qos: 1 + i % 2 })
  await w.publishAsync(`${base}/kept`, 'kept', { qos: 1, retain: true })
  const dying = await mqtt.connectAsync(url, options('dying', { will: { topic: `${base}/will`, payload: 'gone', qos: 1, retain: false } }))
  dying.stream.destroy()
  const again = mqtt.connect(url, options('r', durable)) // messages may come at once: listen first
  coming = collect(again, 22)
  const present = new Promise((resolve) => again.once('connect', (p) => resolve(p.sessionPresent)))
  assert.strictEqual(await present, v !== 3)
  got = await coming // QoS 2 is shown with PUBREL, so the order holds per QoS
  for (const q of [1, 2]) {
    const want = []
    for (let i = q - 1; i < 20; i += 2) want.push(`away ${i}`)
    assert.deepStrictEqual(got.filter((m) => m.qos === q && m.payload.startsWith('away')).map((m) => m.payload), want)
  }
  assert.deepStrictEqual(got.map((m) => m.payload).filter((p) => !p.startsWith('away')).sort(), ['gone', 'kept'])

  const late = await mqtt.connectAsync(url, options('late'))
  coming = collect(late, 1)
  await late.subscribeAsync(`${base}/kept`, { qos: 1 })
  const kept = (await coming)[0]
  assert(kept.retain && kept.payload === 'kept')
  await w.publishAsync(`${base}/kept`, '', { qos: 1, retain: true })
  for (const c of [w, again, late]) await c.endAsync()
  console.log('ok')
}

setTimeout(() => { console.error('it takes too long'); process.exit(1) }, 30000).unref()
main().catch((err) => { console.error(err); process.exit(1) })
