import type pg from 'pg'
import type { Fault } from '../src/service/audit-faults.ts'
import type { Chance } from './chaos/chance.ts'

/** What a superuser may do to the chain and to what it covers; the database's own guards are off. */

export interface Tampered {
  /** Where it must be found: any of these. */
  at: Partial<Fault>[]
}
type Tamper = (client: pg.ClientBase, random: Chance) => Promise<Tampered>

const one = async <Row extends Record<string, unknown>>(client: pg.ClientBase, sql: string, values: unknown[] = []): Promise<Row> => {
  const { rows: [row] } = await client.query<Row>(sql, values)
  if (!row) throw new Error(`no row for ${sql}`)
  return row
}
const changed = async (client: pg.ClientBase, sql: string, values: unknown[] = []): Promise<void> => {
  const { rowCount } = await client.query(sql, values)
  if (rowCount === 0) throw new Error(`nothing changed by ${sql}`)
}

const count = async (client: pg.ClientBase, table: string): Promise<number> => (await one<{ n: number }>(client, `SELECT count(*)::int AS n FROM ${table}`)).n
/** Any row of a table that has been linked. */
const any = async <Row extends Record<string, unknown>>(client: pg.ClientBase, random: Chance, table: string, order: string): Promise<Row> =>
  one<Row>(client, `SELECT * FROM ${table} ORDER BY ${order} OFFSET $1 LIMIT 1`, [below(random, await count(client, table))])

type Feed = { tenantId: string; position: string; id: string; requestId: string; seq: number }
type Link = { n: string; position: string; id: string; kind: string; hash: Buffer }
type Entry = { tenantId: string; id: string }
const feed = (client: pg.ClientBase, random: Chance) => any<Feed>(client, random, 'feed', 'position')
const link = (client: pg.ClientBase, random: Chance) => any<Link>(client, random, 'audit_link', 'n')
/** A whole number from 0. */
const below = (random: Chance, end: number): number => Math.floor(random.next() * end)
const UUID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

/** One bit of a byte string. */
const flipped = (column: string, bit: number): string => `${column} = set_bit(${column}, ${bit}, 1 - get_bit(${column}, ${bit}))`

export const TAMPERINGS: Readonly<Record<string, Tamper>> = {
  'feed row edited': async (client, random) => {
    const { position } = await feed(client, random)
    await changed(client, `UPDATE feed SET ${random.one([
      `type = type || 'x'`, `at = at + interval '1 millisecond'`, `path = 'X/' || path`, `payload = jsonb_set(payload, '{state}', '"closed!"')`, `payload = payload - 'number'`,
      `payload = payload || '{"more": 1}'`, `seq = seq + 1`, `id = '${UUID}'`, `"requestId" = '${UUID}'`, `"tenantId" = '${UUID}'`,
    ])} WHERE position = $1`, [position])
    return { at: [{ table: 'feed', position }] }
  },
  'feed row deleted': async (client, random) => {
    const { position, id } = await feed(client, random)
    await changed(client, 'DELETE FROM feed WHERE position = $1', [position])
    return { at: [{ kind: 'deleted', table: 'feed', position, id }] }
  },
  'feed row inserted': async (client, random) => {
    const { position } = await one<{ position: string }>(client, `SELECT f.position + 1 AS position FROM feed f WHERE NOT EXISTS (SELECT FROM feed g WHERE g.position = f.position + 1)
      AND f.position < (SELECT position FROM audit_head) ORDER BY position OFFSET ${below(random, 5)} LIMIT 1`)
    await changed(client, `INSERT INTO feed SELECT "tenantId", $1::bigint, '${UUID}'::uuid, "requestId", seq, type, at, path, payload FROM feed ORDER BY position LIMIT 1`, [position])
    return { at: [{ kind: 'inserted', table: 'feed', position, id: UUID }] }
  },
  'feed row doubled under another tenant': async (client, random) => {
    const { position } = await feed(client, random)
    await changed(client, `INSERT INTO feed SELECT '${UUID}'::uuid, position, '${UUID}'::uuid, "requestId", seq, type, at, path, payload FROM feed WHERE position = $1`, [position])
    return { at: [{ kind: 'inserted', table: 'feed', position, id: UUID }] }
  },
  'feed rows swapped': async (client, random) => {
    const [a, b] = [await feed(client, random), await feed(client, random)]
    if (a.position === b.position) return TAMPERINGS['feed rows swapped']!(client, random)
    await changed(client, 'UPDATE feed SET position = -1 WHERE position = $1', [a.position])
    await changed(client, 'UPDATE feed SET position = $1 WHERE position = $2', [a.position, b.position])
    await changed(client, 'UPDATE feed SET position = $1 WHERE position = -1', [b.position])
    return { at: [{ kind: 'reordered', table: 'feed', position: a.position, id: a.id }] }
  },
  'feed row moved to the end': async (client, random) => {
    const { position, id } = await feed(client, random)
    await changed(client, 'UPDATE feed SET position = (SELECT max(position) + 1 FROM feed) WHERE position = $1', [position])
    return { at: [{ table: 'feed', position, id }] }
  },
  'feed cut off': async (client, random) => {
    const { position } = await one<{ position: string }>(client, `SELECT position FROM feed ORDER BY position DESC OFFSET ${below(random, 20)} LIMIT 1`)
    await changed(client, 'DELETE FROM feed WHERE position >= $1', [position])
    return { at: [{ kind: 'deleted', table: 'feed', position }] }
  },
  'event edited': async (client, random) => {
    const { requestId, seq } = await feed(client, random)
    await changed(client, `UPDATE event SET ${random.one([
      `at = at - interval '1 hour'`, `path = 'X/' || path`, `data = data || '{"x": true}'`, `cycle = cycle + 1`, `"dutyId" = '${UUID}'`, `"clientId" = '${UUID}'`, `"onBehalfOf" = '${UUID}'`,
    ])} WHERE "requestId" = $1 AND seq = $2`, [requestId, seq])
    return { at: [{ kind: 'edited', table: 'event', requestId, seq }] }
  },
  'event of somebody else': async (client, random) => {
    const { requestId, seq } = await feed(client, random)
    await changed(client, `UPDATE event SET "actorId" = '${UUID}' WHERE "requestId" = $1 AND seq = $2`, [requestId, seq])
    return { at: [{ kind: 'edited', table: 'event', requestId, seq }] }
  },
  'event deleted': async (client, random) => {
    const { requestId, seq } = await feed(client, random)
    await changed(client, 'DELETE FROM event WHERE "requestId" = $1 AND seq = $2', [requestId, seq])
    return { at: [{ kind: 'deleted', table: 'event', requestId, seq }] }
  },
  'event inserted': async (client, random) => {
    const { requestId } = await feed(client, random)
    await changed(client, `INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
      SELECT "tenantId", "requestId", 99, 'close', 'completed', 'closed', at, cycle, path, 'system', '{}' FROM event WHERE "requestId" = $1 AND seq = 1`, [requestId])
    return { at: [{ kind: 'inserted', table: 'event', requestId, seq: 99 }] }
  },
  'entry edited': async (client, random) => {
    const { id } = await any<Entry>(client, random, 'audit_entry', 'id')
    await changed(client, `UPDATE audit_entry SET ${random.one([
      `action = action || '.'`, `at = at + interval '1 day'`, `"actorId" = '${UUID}'`, `"clientId" = '${UUID}'`, `"dutyId" = '${UUID}'`, `"objectKind" = 'x'`, `"objectId" = '${UUID}'`, `details = '{"x": 1}'`,
      `call = 'another-call'`, `"tenantId" = '${UUID}'`,
    ])} WHERE id = $1`, [id])
    return { at: [{ kind: 'edited', table: 'audit_entry', id }] }
  },
  'entry deleted': async (client, random) => {
    const { id } = await any<Entry>(client, random, 'audit_entry', 'id')
    await changed(client, 'DELETE FROM audit_entry WHERE id = $1', [id])
    return { at: [{ kind: 'deleted', table: 'audit_entry', id }] }
  },
  'entry inserted': async (client, random) => {
    const { id } = await any<Entry>(client, random, 'audit_entry', 'id')
    const made = below(random, 2) === 0 ? UUID : id
    await changed(client, `INSERT INTO audit_entry SELECT '${UUID}'::uuid, $2::uuid, at, action, "actorKind", "actorId", "clientId", "dutyId", "objectKind", "objectId", details, call FROM audit_entry WHERE id = $1`, [id, made])
    return { at: [{ kind: 'inserted', table: 'audit_entry', id: made }, { kind: 'edited', table: 'audit_entry', id: made }] }
  },
  'link edited': async (client, random) => {
    const { n } = await link(client, random)
    const bit = below(random, 256)
    await changed(client, `UPDATE audit_link SET ${random.one([flipped('hash', bit), flipped('digest', bit), 'position = position + 1', 'position = position - 1', `id = '${UUID}'`])} WHERE n = $1`, [n])
    return { at: [{ table: 'audit_link', n }] }
  },
  'link and its row edited': async (client, random) => {
    const { n, position } = await one<Link>(client, `SELECT * FROM audit_link WHERE kind = 'event' ORDER BY n OFFSET $1 LIMIT 1`, [below(random, 100)])
    await changed(client, `UPDATE feed SET type = 'request.forged' WHERE position = $1`, [position])
    await changed(client, `UPDATE audit_link SET digest = sha256(convert_to((SELECT jsonb_build_array(f."tenantId", f.id, f."requestId", f.seq, f.type, (extract(epoch FROM f.at) * 1000)::bigint, f.path, f.payload)::text FROM feed f WHERE f.position = audit_link.position), 'UTF8')) WHERE n = $1`, [n])
    return { at: [{ kind: 'edited', table: 'audit_link', n }] }
  },
  'link deleted': async (client, random) => {
    const { n } = await one<Link>(client, 'SELECT * FROM audit_link WHERE n < (SELECT max(n) FROM audit_link) ORDER BY n OFFSET $1 LIMIT 1', [below(random, await count(client, 'audit_link') - 1)])
    await changed(client, 'DELETE FROM audit_link WHERE n = $1', [n])
    return { at: [{ kind: 'deleted', table: 'audit_link', n, count: '1' }] }
  },
  'link deleted and the rest moved up': async (client, random) => {
    const { n } = await one<Link>(client, 'SELECT * FROM audit_link ORDER BY n OFFSET $1 LIMIT 1', [below(random, await count(client, 'audit_link') - 2)])
    await changed(client, 'DELETE FROM audit_link WHERE n = $1', [n])
    await changed(client, 'UPDATE audit_link SET n = -n WHERE n > $1', [n])
    await changed(client, 'UPDATE audit_link SET n = -n - 1 WHERE n < 0')
    return { at: [{ table: 'audit_link', n }] }
  },
  'links swapped': async (client, random) => {
    const [a, b] = [await link(client, random), await link(client, random)]
    if (a.n === b.n) return TAMPERINGS['links swapped']!(client, random)
    await changed(client, 'UPDATE audit_link SET n = -1 WHERE n = $1', [a.n])
    await changed(client, 'UPDATE audit_link SET n = $1 WHERE n = $2', [a.n, b.n])
    await changed(client, 'UPDATE audit_link SET n = $1 WHERE n = -1', [b.n])
    return { at: [{ table: 'audit_link', n: a.n }] }
  },
  'chain cut off': async (client, random) => {
    const { n } = await one<Link>(client, `SELECT * FROM audit_link ORDER BY n DESC OFFSET ${below(random, 40)} LIMIT 1`)
    await changed(client, 'DELETE FROM audit_link WHERE n >= $1', [n])
    return { at: [{ kind: 'cut', table: 'audit_link', n }] }
  },
  'chain cut off to a checkpoint, and its head taken from there': async (client, random) => {
    const { n } = await one<{ n: string }>(client, `SELECT n FROM audit_checkpoint WHERE NOT anchor ORDER BY n DESC OFFSET ${1 + below(random, 4)} LIMIT 1`)
    await client.query('DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_link WHERE n > $1)', [n])
    await client.query('DELETE FROM event e USING feed f WHERE f.position > (SELECT position FROM audit_checkpoint WHERE n = $1) AND e."requestId" = f."requestId" AND e.seq = f.seq', [n])
    await client.query('DELETE FROM feed WHERE position > (SELECT position FROM audit_checkpoint WHERE n = $1)', [n])
    await changed(client, 'DELETE FROM audit_link WHERE n > $1', [n])
    await changed(client, 'DELETE FROM audit_checkpoint WHERE n > $1', [n])
    await changed(client, `UPDATE audit_head SET (n, position, hash, at, previous, kid, signature) = (SELECT n, position, hash, at, ${random.one(['n', 'previous'])}, kid, signature FROM audit_checkpoint WHERE n = $1)`, [n])
    return { at: [{ kind: 'edited', table: 'audit_head', n }] }
  },
  'beginning cut off': async (client, random) => {
    const { n } = await one<{ n: string }>(client, `SELECT n FROM audit_checkpoint WHERE NOT anchor ORDER BY n OFFSET ${below(random, 4)} LIMIT 1`)
    await changed(client, 'DELETE FROM audit_link WHERE n <= $1', [n])
    await changed(client, 'DELETE FROM audit_checkpoint WHERE n < $1', [n])
    await changed(client, 'UPDATE audit_checkpoint SET anchor = true WHERE n = $1', [n])
    return { at: [{ kind: 'deleted', table: 'audit_link', n: '1' }] }
  },
  'chain begun anew': async (client) => {
    for (const table of ['audit_link', 'audit_checkpoint']) await changed(client, `DELETE FROM ${table}`)
    await changed(client, `UPDATE audit_head SET n = 0, position = (SELECT max(position) FROM feed), hash = decode(repeat('00', 32), 'hex'), previous = 0, kid = NULL, signature = NULL`)
    return { at: [{ kind: 'inserted', table: 'audit_entry' }] }
  },
  'link added': async (client, random) => {
    const { n } = await one<{ n: string }>(client, 'SELECT max(n) + 1 AS n FROM audit_link')
    await changed(client, `INSERT INTO audit_link SELECT $1::bigint, position, kind, id, digest, history, hash FROM audit_link ORDER BY n OFFSET ${below(random, 50)} LIMIT 1`, [n])
    return { at: [{ table: 'audit_link', n }] }
  },
  'checkpoint edited': async (client, random) => {
    const { n } = await any<{ n: string }>(client, random, 'audit_checkpoint', 'n')
    const bit = below(random, 256)
    const to = random.one([flipped('hash', bit), flipped('signature', bit), 'position = position + 1', `at = at + interval '1 second'`, 'previous = previous + 1', 'anchor = NOT anchor', `kid = 'another'`])
    await changed(client, `UPDATE audit_checkpoint SET ${to} WHERE n = $1`, [n])
    return { at: [{ table: 'audit_checkpoint', n }] }
  },
  'checkpoint deleted': async (client, random) => {
    const { n } = await any<{ n: string }>(client, random, 'audit_checkpoint', 'n')
    await changed(client, 'DELETE FROM audit_checkpoint WHERE n = $1', [n])
    return { at: [{ table: 'audit_checkpoint', n }] }
  },
  'checkpoints cut off': async (client, random) => {
    const { n } = await one<{ n: string }>(client, `SELECT n FROM audit_checkpoint ORDER BY n DESC OFFSET ${below(random, 3)} LIMIT 1`)
    const { n: newest } = await one<{ n: string }>(client, 'SELECT max(n) AS n FROM audit_checkpoint')
    await changed(client, 'DELETE FROM audit_checkpoint WHERE n >= $1', [n])
    return { at: [{ kind: 'cut', table: 'audit_checkpoint', n: newest }] }
  },
  'head edited': async (client, random) => {
    const bit = below(random, 256)
    await changed(client, `UPDATE audit_head SET ${random.one(['n = n + 1', 'n = n - 1', 'position = position + 5', flipped('hash', bit), `at = at + interval '1 second'`, 'previous = previous - 1', `kid = 'x'`, flipped('signature', bit)])}`)
    return { at: [{ kind: 'edited', table: 'audit_head' }] }
  },
  'head deleted': async (client) => {
    await changed(client, 'DELETE FROM audit_head')
    return { at: [{ kind: 'deleted', table: 'audit_head' }] }
  },
}
