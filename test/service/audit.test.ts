import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SYSTEM } from '../../src/domain/actor.ts'
import { linkOnce } from '../../src/service/audit-chain.ts'
import { auditKeys, signState } from '../../src/service/audit-keys.ts'
import { listAudit, listCheckpoints } from '../../src/service/audit-log.ts'
import { asOwner } from '../../src/service/audit-owner.ts'
import { pruneAudit } from '../../src/service/audit-prune.ts'
import { shippedOf } from '../../src/service/audit-verify-checkpoints.ts'
import { verifyChain } from '../../src/service/audit-verify.ts'
import { account, inCall } from '../../src/service/audit.ts'
import { generateKeyring, parseKeyring, rotateKeyring, type KeyringDocument } from '../../src/service/keyring.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { transaction } from '../../src/service/transaction.ts'
import { auditedTown, type AuditedTown } from '../audited.ts'

/** Entries stand or fall with their act; the chain covers feed, history and entries, whatever happens to it. */

let audited: AuditedTown
const verified = (options?: Parameters<typeof verifyChain>[2], keyring = audited.keyring) => asOwner(audited.database.url, (client) => verifyChain(client, keyring, options))
const db = () => audited.database.db

beforeAll(async () => {
  audited = await auditedTown()
  await audited.live(20)
  await audited.link({ batch: 7, every: 20n })
}, 60_000)
afterAll(() => audited.database.drop())

describe('an entry', () => {
  test('is there with its act and only with it, by the driver and by Prisma, with the call it belongs to', async () => {
    const { auditor } = audited
    const object = '0195f2a0-7c1e-7abc-8def-0123456789ab'
    await audited.town.inside(() => inCall('call-of-this-test', async () => {
      await expect(transaction(db().app, async (client) => {
        await account(client, auditor, { action: 'duty.granted', object: 'duty', objectId: object })
        throw new Error('undone')
      })).rejects.toThrow('undone')
      await expect(db().prisma.$transaction(async (tx) => {
        await account(tx, auditor, { action: 'duty.granted', object: 'duty', objectId: object })
        throw new Error('undone')
      })).rejects.toThrow('undone')
      expect((await listAudit(db(), { object, limit: 10 }, auditor)).data).toEqual([])
      await transaction(db().app, (client) => account(client, auditor, { action: 'duty.granted', object: 'duty', objectId: object, details: { role: 'x' }, reason: '轮岗' }))
      await db().prisma.$transaction((tx) => account(tx, SYSTEM, { action: 'duty.ended', object: 'duty', objectId: object }))
      const { data } = await listAudit(db(), { object, limit: 10 }, auditor)
      expect(data).toMatchObject([
        { action: 'duty.ended', class: 'security', actor: { kind: 'system', id: null, app: null, duty: null }, reason: null },
        { action: 'duty.granted', actor: { kind: 'person', id: auditor.id, duty: auditor.duties[0]!.id }, object: { kind: 'duty', id: object }, details: { role: 'x' }, reason: '轮岗', call: 'call-of-this-test' },
      ])
    }))
  })

  test('is read by the auditor alone, by filters and pages, and that is on record once', async () => {
    const { auditor } = audited
    await audited.town.inside(async () => {
      const stranger = await audited.town.person({ at: 'S', can: ['administer'] })
      await expect(listAudit(db(), { limit: 10 }, stranger)).rejects.toMatchObject({ code: 'forbidden' })
      await expect(listAudit(db(), { limit: 10 }, { ...auditor, clientId: '0195f2a0-7c1e-7abc-8def-0123456789ab' })).rejects.toMatchObject({ code: 'forbidden' })
      await expect(listCheckpoints(db(), audited.keyring, { limit: 10 }, stranger)).rejects.toMatchObject({ code: 'forbidden' })
      const all = (await listAudit(db(), { limit: 100 }, auditor)).data
      const paged: string[] = []
      for (let cursor: string | undefined, more = true; more;) {
        const { data, page } = await listAudit(db(), { limit: 3, cursor }, auditor)
        paged.push(...data.map(({ id }) => id))
        ;({ hasMore: more } = page)
        cursor = page.nextCursor ?? undefined
      }
      expect(paged).toEqual(all.map(({ id }) => id))
      expect(all.filter(({ action }) => action === 'audit.read')).toHaveLength(1)
      const [some] = all.filter(({ action }) => action !== 'audit.read').slice(-1)
      expect((await listAudit(db(), { action: [some!.action], from: some!.at, to: new Date(some!.at.getTime() + 1), limit: 10 }, auditor)).data).toEqual([some])
      expect((await listAudit(db(), { actor: auditor.id, limit: 100 }, auditor)).data.every(({ actor }) => actor.id === auditor.id)).toBe(true)
    })
  })

  test('cannot be changed or removed by the program’s own roles', async () => {
    for (const pool of [db().app, db().system]) {
      for (const sql of [`UPDATE audit_entry SET action = 'x'`, 'DELETE FROM audit_entry', 'TRUNCATE audit_entry', 'DELETE FROM audit_link', 'UPDATE audit_link SET n = 1',
        'DELETE FROM audit_checkpoint', 'UPDATE audit_checkpoint SET n = 1', 'DELETE FROM audit_head', 'DELETE FROM event', 'DELETE FROM feed', 'UPDATE feed SET seq = 1']) {
        await expect(audited.town.inside(() => pool.query(sql)), sql).rejects.toMatchObject({ code: '42501' })
      }
    }
    await expect(audited.town.inside(() => db().app.query('UPDATE audit_head SET n = 1'))).rejects.toMatchObject({ code: '42501' })
  })
})

describe('the chain', () => {
  test('is whole, and says how much it covers', async () => {
    await audited.link()
    const verdict = await verified({ batch: 13 })
    expect(verdict).toMatchObject({ ok: true, found: 0, faults: [], pending: 0, from: '0' })
    const { rows: [count] } = await audited.database.owner.query<{ feed: number; entries: number }>('SELECT (SELECT count(*)::int FROM feed) AS feed, (SELECT count(*)::int FROM audit_entry) AS entries')
    expect(verdict).toMatchObject({ links: count!.feed + count!.entries, entries: count!.entries })
    expect(verdict.checkpoints).toBeGreaterThan(3)
  })

  test('has no false alarm while everything is being written, relayed and linked', async () => {
    let over = false
    const linking = (async () => { while (!over) await audited.link({ batch: 5, every: 9n }) })()
    const second = (async () => { while (!over) await linkOnce(db(), audited.keyring, { batch: 3 }) })()
    const living = audited.live(40)
    const verdicts = []
    let living_ = true
    void living.finally(() => { living_ = false })
    while (living_) verdicts.push(await verified())
    await living
    over = true
    await Promise.all([linking, second])
    expect(verdicts.length).toBeGreaterThan(3)
    expect(verdicts.filter(({ ok }) => !ok)).toEqual([])
    await audited.link()
    expect(await verified()).toMatchObject({ ok: true, pending: 0 })
  }, 60_000)

  test('stays good when words are erased', async () => {
    const { rowCount } = await audited.database.owner.query(`UPDATE text SET body = '', "erasedAt" = now()`)
    const { rowCount: reasons } = await audited.database.owner.query(`UPDATE audit_reason SET body = '', "erasedAt" = now()`)
    await audited.database.owner.query('UPDATE subject SET key = NULL, kid = NULL, sealed = NULL, phone = NULL, "erasedAt" = now()')
    expect(rowCount).toBeGreaterThan(0)
    expect(reasons).toBeGreaterThan(0)
    expect(await verified()).toMatchObject({ ok: true })
    expect((await audited.town.inside(() => listAudit(db(), { limit: 100 }, audited.auditor))).data.filter(({ reason }) => reason !== null)).toEqual([])
  })

  test('survives a batch that is broken off at any statement', async () => {
    for (let broken = 1; broken <= 7; broken++) {
      await audited.live(1)
      await relayOnce(db())
      let count = 0
      const system = { query: db().system.query.bind(db().system), connect: async () => {
        const client = await db().system.connect()
        const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
        return new Proxy(client, { get: (target, name) => name === 'query'
          ? (...args: unknown[]) => (++count === broken ? Promise.reject(new Error('killed')) : query(...args))
          : name === 'release' ? () => target.release(true) : Reflect.get(target, name) })
      } }
      await linkOnce({ ...db(), system: system as unknown as ReturnType<typeof db>['system'] }, audited.keyring).catch((error: Error) => expect(error.message).toBe('killed'))
      expect(await verified()).toMatchObject({ ok: true })
    }
    await audited.link()
    expect(await verified()).toMatchObject({ ok: true, pending: 0 })
  })

  test('goes on under a new key, and a worker that has not heard of it yet goes on with it too', async () => {
    const old: KeyringDocument = generateKeyring()
    const fresh = await auditedTown()
    try {
      const ring = parseKeyring(JSON.stringify(old))
      const { keyring: rotated } = rotateKeyring(old, ['audit'], new Date(Date.now() + 3_600_000))
      const [early, late] = [parseKeyring(JSON.stringify(rotated), Date.now()), parseKeyring(JSON.stringify(rotated), Date.now() + 7_200_000)]
      expect(early.audit[0].kid).toBe(ring.audit[0].kid)
      for (const keyring of [ring, early, late, early, late]) {
        await fresh.live(3)
        while ((await relayOnce(fresh.database.db)).moved > 0);
        await linkOnce(fresh.database.db, keyring)
      }
      const check = (keyring: typeof ring) => asOwner(fresh.database.url, (client) => verifyChain(client, keyring))
      expect(await check(late)).toMatchObject({ ok: true, pending: 0 })
      const { rows: [head] } = await fresh.database.owner.query<{ kid: string }>('SELECT kid FROM audit_head')
      expect(head!.kid).toBe(rotated.audit[0].kid)
      expect(await check(ring)).toMatchObject({ ok: false })
      await expect(linkOnce(fresh.database.db, ring)).resolves.toMatchObject({ linked: 0 })
      await fresh.live(1)
      while ((await relayOnce(fresh.database.db)).moved > 0);
      await expect(linkOnce(fresh.database.db, ring)).rejects.toThrow('not signed by the keyring')
    } finally {
      await fresh.database.drop()
    }
  }, 30_000)

  test('ships its checkpoints, by which a tail is missed that was cut off with all its traces, or written anew', async () => {
    const { data, keys } = await audited.town.inside(() => listCheckpoints(db(), audited.keyring, { limit: 100 }, audited.auditor))
    expect(keys).toHaveLength(1)
    expect(await verified({ shipped: data })).toMatchObject({ ok: true })
    const earlier = await audited.database.owner.query('SELECT * FROM audit_head')
    await audited.live(3)
    await relayOnce(db())
    const { checkpoint } = await linkOnce(db(), audited.keyring, { every: 1n })
    const shipped = [shippedOf(checkpoint!)]
    expect(await verified({ shipped })).toMatchObject({ ok: true })
    // Everything as it was before, as from a backup, and history gone with it.
    const client = await audited.database.owner.connect()
    await client.query('BEGIN')
    await client.query('SET LOCAL session_replication_role = replica')
    const [head] = earlier.rows as Record<string, unknown>[]
    await client.query('DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_link WHERE n > $1)', [head!['n']])
    await client.query('DELETE FROM event e USING feed f WHERE f.position > $1 AND e."requestId" = f."requestId" AND e.seq = f.seq', [head!['position']])
    await client.query('DELETE FROM feed WHERE position > $1', [head!['position']])
    await client.query('DELETE FROM audit_link WHERE n > $1', [head!['n']])
    await client.query('DELETE FROM audit_checkpoint WHERE n > $1', [head!['n']])
    await client.query('UPDATE audit_head SET n = $1, position = $2, hash = $3, at = $4, previous = $5, "previousAt" = $6, kid = $7, signature = $8',
      ['n', 'position', 'hash', 'at', 'previous', 'previousAt', 'kid', 'signature'].map((name) => head![name]))
    await client.query('COMMIT')
    client.release()
    expect(await verified()).toMatchObject({ ok: true })
    expect(await verified({ shipped })).toMatchObject({ ok: false, faults: [{ kind: 'cut', table: 'audit_link', n: shipped[0]!.n, position: shipped[0]!.position }] })
    // A worker that was there before notices by itself, with no checkpoint kept.
    await audited.live(1)
    await relayOnce(db())
    expect(await linkOnce(db(), audited.keyring)).toMatchObject({ cut: true })
    expect(await verified({ shipped: [{ ...shipped[0]!, hash: 'f'.repeat(64) }] })).toMatchObject({ ok: false, faults: [{ kind: 'edited', table: 'audit_checkpoint' }] })
  })

  test('written anew by whoever has the keys, is told from the one whose checkpoints were shipped', async () => {
    const fresh = await auditedTown()
    try {
      await fresh.live(4)
      await fresh.link({ every: 1n })
      await fresh.live(4)
      await relayOnce(fresh.database.db)
      const { checkpoint } = await linkOnce(fresh.database.db, fresh.keyring, { every: 1n })
      const { owner } = fresh.database
      const { rows: [kept] } = await owner.query<{ n: string; position: string; hash: Buffer; at: Date; previous: string }>('SELECT * FROM audit_checkpoint WHERE n < $1 ORDER BY n DESC LIMIT 1', [checkpoint!.n])
      const state = { n: BigInt(kept!.n), position: BigInt(kept!.position), hash: kept!.hash, at: kept!.at, previous: BigInt(kept!.n) }
      await owner.query('DELETE FROM audit_link WHERE n > $1', [kept!.n])
      await owner.query('DELETE FROM audit_checkpoint WHERE n > $1', [kept!.n])
      await owner.query('INSERT INTO audit_outbox SELECT "tenantId", id, at FROM audit_entry a WHERE NOT EXISTS (SELECT FROM audit_link l WHERE l.id = a.id)')
      await owner.query('UPDATE audit_head SET n = $1, position = $2, hash = $3, at = $4, previous = $1, signature = $5', [kept!.n, kept!.position, kept!.hash, kept!.at, signState(auditKeys(fresh.keyring)[0]!, 'head', state)])
      const { rows: [first] } = await owner.query<{ position: string }>('SELECT min(position) AS position FROM feed WHERE position > $1', [kept!.position])
      await owner.query(`UPDATE feed SET path = 'X/' WHERE position = $1`, [first!.position])
      while ((await linkOnce(fresh.database.db, fresh.keyring)).linked > 0);
      await fresh.live(2)
      await fresh.link()
      const check = (options?: Parameters<typeof verifyChain>[2]) => asOwner(fresh.database.url, (client) => verifyChain(client, fresh.keyring, options))
      expect(await check()).toMatchObject({ ok: true, pending: 0 })
      expect(await check({ shipped: [shippedOf(checkpoint!)] })).toMatchObject({ ok: false, faults: [{ kind: 'edited', table: 'audit_link', n: checkpoint!.n.toString() }] })
    } finally {
      await fresh.database.drop()
    }
  }, 30_000)

  test('loses what is past its time, whole up to a checkpoint, and no sooner than after 180 days', async () => {
    const fresh = await auditedTown()
    try {
      await fresh.live(12)
      await fresh.link({ batch: 7, every: 10n })
      const prune = (days: number) => asOwner(fresh.database.url, (client) => pruneAudit(client, fresh.keyring, { days }))
      const check = () => asOwner(fresh.database.url, (client) => verifyChain(client, fresh.keyring))
      await expect(prune(179)).rejects.toThrow(RangeError)
      expect(await prune(180)).toEqual({ links: 0, entries: 0, from: null })
      await fresh.database.setClock(new Date().toISOString(), '181 days')
      await fresh.live(6)
      await fresh.link({ batch: 7, every: 10n })
      const before = await check()
      expect(before).toMatchObject({ ok: true, from: '0' })
      const gone = await prune(180)
      expect(gone.links).toBeGreaterThanOrEqual(40)
      expect(gone.entries).toBeGreaterThan(3)
      const after = await check()
      expect(after).toMatchObject({ ok: true, links: before.links - gone.links, entries: before.entries - gone.entries, from: gone.from })
      await fresh.live(2)
      await fresh.link()
      expect(await check()).toMatchObject({ ok: true, from: gone.from })
      // Whoever cuts off a little more has no signature for it.
      await fresh.database.owner.query('DELETE FROM audit_link WHERE n IN (SELECT n FROM audit_link ORDER BY n LIMIT 5)')
      expect(await check()).toMatchObject({ ok: false, faults: [expect.objectContaining({ kind: 'deleted', table: 'audit_link', count: '5' }), expect.anything(), expect.anything(), expect.anything(), expect.anything(), expect.anything()] })
    } finally {
      await fresh.database.drop()
    }
  }, 30_000)
})
