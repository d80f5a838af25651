import { fastify } from 'fastify'
import { PrismaPg } from '@prisma/adapter-pg'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { PrismaClient } from '../../src/service/generated/client.ts'
import { SQL } from './statements.ts'
import type { Town } from './town.ts'

/**
 * What the product is measured against, on the same database with the same rows, indexes and constraints:
 * (b) a bare Fastify route with one hand-written prepared statement, (c) a plain Prisma interactive transaction.
 * Neither knows tokens, tenants' rights, validation, the state machine or idempotency.
 */

const town = JSON.parse(readFileSync(process.env.TOWN!, 'utf8')) as Town
const somewhere = () => town.buildings[Math.floor(Math.random() * town.buildings.length)]!
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL, max: 10 }, { statementNameGenerator: ({ sql }) => `s${hash(sql)}` }) })
let serial = 0
const number = (kind: string) => `${kind}-${process.pid}-${++serial}`
const hash = (text: string) => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, 7)
const days = (n: number) => new Date(Date.now() + n * 86_400_000)

const payload = (state: string, version: number) => JSON.stringify({ number: 'WX20261121-000001', kind: 'wish', item: 'companionship', from: null, state, version, cycle: 1, node: 'S-7-5-3' })
const query = (name: keyof typeof SQL, values: unknown[]) => pool.query<Record<string, unknown>>({ name, text: SQL[name], values })

const app = fastify()

app.post<{ Body: { title: string; description: string } }>('/b/file', async ({ body }, reply) => {
  const id = uuidv7()
  const building = somewhere()
  await query('file', [town.tenantId, id, number('B'), town.itemId, town.policyId, building.id, building.path, town.resident, uuidv7(), payload('filed', 1), body.title, body.description, days(10), days(8)])
  return reply.code(201).send({ id, state: 'filed', version: 1 })
})
app.post<{ Params: { id: string }; Querystring: { by: string } }>('/b/claim/:id', async ({ params, query: { by } }) => {
  const { rows } = await query('claim', [town.tenantId, params.id, by, JSON.stringify({ slot: 1, by }), uuidv7(), payload('in_progress', 4), town.policyId, days(1), days(1), `claims/${by}`])
  return rows[0]
})
app.get<{ Params: { id: string } }>('/b/get/:id', async ({ params }) => (await query('get', [town.tenantId, 'compound', params.id])).rows[0])
app.get('/b/list', async () => ({ data: (await query('list', [town.tenantId, 'compound', 21, town.compound.path, 'filed'])).rows.slice(0, 20) }))

const { tenantId } = town
const now = () => new Date()

app.post<{ Body: { title: string; description: string } }>('/c/file', async ({ body }, reply) => {
  const id = uuidv7()
  const building = somewhere()
  await prisma.$transaction(async (tx) => {
    // request and event name each other; one statement needs no deferral, several do
    await tx.$executeRawUnsafe('SET CONSTRAINTS request_newest_event_fkey DEFERRED')
    await tx.request.create({ data: { tenantId, id, number: number('C'), kind: 'wish', itemId: town.itemId, policyId: town.policyId, state: 'filed', version: 1, cycle: 1, nodeId: building.id, responsibleNodeId: building.id, path: building.path, filerId: town.resident, source: 'app', confidential: false, slots: 1, slotsTaken: 0, unreached: 0, titleSeq: 1, filedAt: now() } })
    await tx.event.create({ data: { tenantId, requestId: id, seq: 1, verb: 'file', fromState: 'none', toState: 'filed', at: now(), cycle: 1, path: building.path, actorKind: 'person', actorId: town.resident, data: {} } })
    await tx.outbox.create({ data: { tenantId, id: uuidv7(), requestId: id, seq: 1, type: 'request.filed', at: now(), path: building.path, payload: JSON.parse(payload('filed', 1)) } })
    await tx.text.createMany({ data: [{ tenantId, requestId: id, seq: 1, field: 'title', body: body.title }, { tenantId, requestId: id, seq: 1, field: 'description', body: body.description }] })
    await tx.deadline.createMany({ data: ['accept', 'complete'].map((step) => ({ tenantId, requestId: id, step, seq: 1, policyId: town.policyId, openedAt: now(), dueAt: days(10), originalDueAt: days(10), provisional: false, nextAt: days(8), mark: 0 })) })
  })
  return reply.code(201).send({ id, state: 'filed', version: 1 })
})
app.post<{ Params: { id: string }; Querystring: { by: string } }>('/c/claim/:id', async ({ params: { id: requestId }, query: { by } }) => prisma.$transaction(async (tx) => {
  const found = await tx.request.findUniqueOrThrow({ where: { tenantId_id: { tenantId, id: requestId } } })
  const version = found.version + 1
  await tx.event.create({ data: { tenantId, requestId, seq: version, verb: 'claim', fromState: 'open', toState: 'in_progress', at: now(), cycle: 1, path: found.path, actorKind: 'person', actorId: by, data: { slot: 1, by } } })
  await tx.request.updateMany({ where: { tenantId, id: requestId, version: found.version, state: 'open' }, data: { state: 'in_progress', version, slotsTaken: 1, startedAt: now() } })
  await tx.outbox.create({ data: { tenantId, id: uuidv7(), requestId, seq: version, type: 'request.claimed', at: now(), path: found.path, payload: JSON.parse(payload('in_progress', version)) } })
  await tx.assignment.create({ data: { tenantId, requestId, seq: version, via: 'claim', slot: 1, personId: by, path: found.path, status: 'active', since: now() } })
  await tx.deadline.updateMany({ where: { tenantId, requestId, step: 'claim', seq: 3 }, data: { nextAt: null, closedAt: now() } })
  await tx.deadline.create({ data: { tenantId, requestId, step: 'respond', seq: version, policyId: town.policyId, openedAt: now(), dueAt: days(1), originalDueAt: days(1), provisional: false, nextAt: days(1), mark: 0 } })
  await tx.counter.upsert({ where: { tenantId_key: { tenantId, key: `claims/${by}` } }, create: { tenantId, key: `claims/${by}`, value: 1 }, update: { value: { increment: 1 } } })
  return { id: requestId, version }
}))
/** What a plain Prisma read of the same things looks like: one query per table. */
const withParts = async (rows: { id: string; nodeId: string; responsibleNodeId: string }[]) => {
  const ids = rows.map(({ id }) => id)
  const where = { tenantId, requestId: { in: ids } }
  const [nodes, texts, assignments, deadlines, walls] = await Promise.all([
    prisma.node.findMany({ where: { tenantId, id: { in: rows.flatMap((row) => [row.nodeId, row.responsibleNodeId]) } } }),
    prisma.text.findMany({ where: { ...where, field: 'title' } }),
    prisma.assignment.findMany({ where: { ...where, status: { in: ['active', 'done'] } } }),
    prisma.deadline.findMany({ where: { ...where, closedAt: null } }),
    prisma.wallEntry.findMany({ where: { ...where, takenDownAt: null } }),
  ])
  return { rows, nodes, texts, assignments, deadlines, walls }
}
app.get<{ Params: { id: string } }>('/c/get/:id', async ({ params: { id } }) => withParts([await prisma.request.findUniqueOrThrow({ where: { tenantId_id: { tenantId, id } } })]))
app.get('/c/list', async () => withParts(await prisma.request.findMany({ where: { tenantId, path: { startsWith: town.compound.path }, state: 'filed' }, orderBy: { id: 'desc' }, take: 20 })))

await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
process.send?.('listening')
