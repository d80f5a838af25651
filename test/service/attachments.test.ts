import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Actor, PersonActor } from '../../src/domain/actor.ts'
import { decide } from '../../src/domain/decide.ts'
import { Problem } from '../../src/domain/problems.ts'
import { clearAttachments } from '../../src/service/attachment-clearing.ts'
import { QUOTA_KEY, attachmentsOf, checkAttachable, keepUpload } from '../../src/service/attachments.ts'
import { commit } from '../../src/service/commit.ts'
import { load } from '../../src/service/load.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { acceptWith, testShelf, type Shelf } from '../attachments.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { pdf, phonePhoto } from '../pictures.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { CRASHES } from './attachment-crash.ts'

/** Room, races, attaching and clearing, on a real database and a real folder. */

let database: TestDatabase
let shelf: Shelf
let town: TestPlace, elsewhere: TestPlace
let resident: PersonActor, neighbour: PersonActor, staff: PersonActor
let photo: Buffer

beforeAll(async () => {
  database = await freshDatabase({ connections: 20 })
  ;[town, elsewhere] = [await testPlace(database), await testPlace(database, {}, 'ELSEWHERE')]
  ;[resident, neighbour, staff] = await Promise.all([town.person(), town.person(), town.person({ can: ['view', 'dispatch', 'publish'] })])
  photo = await phonePhoto()
})
beforeEach(async () => {
  await shelf?.close()
  shelf = await testShelf(database)
  await database.owner.query('DELETE FROM attachment')
  await database.owner.query('DELETE FROM counter WHERE key = $1', [QUOTA_KEY])
})
afterAll(async () => {
  await shelf.close()
  await database.drop()
})

const keep = async (bytes: Buffer, actor: Actor = resident, on = shelf, place = town): Promise<string> =>
  (await place.inside(() => keepUpload(on, { bytes: bytes.length, read: async () => bytes }, actor))).id
const paper = (kib: number) => Buffer.concat([Buffer.alloc(kib * 1024 - pdf().length, '%PDF-1.4 '), pdf()])
const wish = () => town.inside(() => file(database.db, { item: 'companionship', title: '想有人陪我下棋', node: 'U' }, resident))
const attach = (requestId: string, ids: string[]) => town.inside(() => acceptWith(database, requestId, staff, ids))
const attachable = (ids: string[], actor: Actor = resident, requestId?: string) => town.inside(() => checkAttachable(database.db, ids, actor, requestId))
const used = async (place = town): Promise<number> =>
  (await database.owner.query<{ value: number }>('SELECT value FROM counter WHERE "tenantId" = $1 AND key = $2', [place.tenantId, QUOTA_KEY])).rows[0]?.value ?? 0
const rows = async () => (await database.owner.query<{ id: string; requestId: string | null; seq: number | null; key: string | null; erased: boolean }>(
  'SELECT id, "requestId", seq, key, "erasedAt" IS NOT NULL AS erased FROM attachment ORDER BY id')).rows
const grownOld = (id: string, hours: number) => database.owner.query(`UPDATE attachment SET "createdAt" = wishwall_now() - make_interval(hours => $2) WHERE id = $1`, [id, hours])
const clear = () => clearAttachments({ db: database.db, files: shelf.files })
const codeOf = (reason: unknown): unknown => (reason instanceof Problem ? reason.code : (reason as { code?: unknown }).code)

describe('the room of a tenant', () => {
  test('is never overdrawn, however many come at once, and full only for itself', async () => {
    const small = { ...shelf, db: database.db, quotaMib: 1 }
    const sent = await Promise.allSettled(Array.from({ length: 30 }, () => keep(paper(100), resident, small)))
    expect(sent.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
    expect(new Set(sent.flatMap((one) => (one.status === 'rejected' ? [codeOf(one.reason)] : [])))).toEqual(new Set(['storage-full']))
    expect(await used()).toBe(1000)
    expect(await shelf.keys()).toHaveLength(10)
    await keep(paper(24), resident, small)
    await expect(keep(paper(1), resident, small)).rejects.toMatchObject({ code: 'storage-full' })
    await keep(paper(100), await elsewhere.person(), small, elsewhere)
  })

  test('at once on many connections, past what one process takes at a time', async () => {
    const many = await Promise.all(Array.from({ length: 8 }, () => testShelf(database, 1)))
    const sent = await Promise.allSettled(many.flatMap((one) => Array.from({ length: 5 }, () => keep(paper(100), resident, one))))
    expect(sent.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
    expect(await used()).toBe(1000)
    await Promise.all(many.map((one) => one.close()))
  })

  test('is not overdrawn by the first one either', async () => {
    await expect(keep(paper(1025), resident, { ...shelf, db: database.db, quotaMib: 1 })).rejects.toMatchObject({ code: 'storage-full' })
    expect([await rows(), await shelf.keys(), await used()]).toEqual([[], [], 0])
  })

  test('counts a photo with its thumbnail', async () => {
    await keep(photo)
    const { rows: [size] } = await database.owner.query<{ kib: number }>('SELECT (bytes + "thumbBytes" + 1023) / 1024 AS kib FROM attachment')
    expect(await used()).toBe(size!.kib)
    expect(await shelf.keys()).toHaveLength(2)
  })

  test('cannot be filled by one who attaches nothing', async () => {
    const sent = await Promise.allSettled(Array.from({ length: 70 }, () => keep(pdf())))
    expect(sent.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(60)
    await expect(keep(pdf())).rejects.toMatchObject({ code: 'limit-reached' })
    await keep(pdf(), neighbour)
    await keep(pdf(), await town.app())
  })

  test('is given back when the storage fails: after a while, for it may still be writing', async () => {
    const broken = { ...shelf, db: database.db, files: { ...shelf.files, put: () => Promise.reject(new Problem('overloaded')) } }
    await expect(keep(photo, resident, broken)).rejects.toMatchObject({ code: 'overloaded' })
    expect(await rows()).toMatchObject([{ erased: true }])
    expect(await clear()).toEqual({ cleared: 0, failed: [] })
    await grownOld((await rows())[0]!.id, 1)
    expect(await clear()).toEqual({ cleared: 1, failed: [] })
    expect([await rows(), await used()]).toEqual([[], 0])
  })
})

describe('what may be attached', () => {
  const refused = async (checking: Promise<void>) => {
    const error = await checking.then(() => { throw new Error('it may') }, (reason: unknown) => reason)
    if (!(error instanceof Problem)) throw error
    return { code: error.code, errors: error.errors.map(({ pointer, message }) => [pointer, message.en]) }
  }
  const UNKNOWN = 'No such attachment, or uploaded by another, or used already'

  test('is one\'s own and hangs nowhere; all else is told apart from nothing by nobody', async () => {
    const [first, second] = [await wish(), await wish()]
    const app = await town.app()
    const own = await keep(pdf())
    const [others, apps, used, erased] = [await keep(pdf(), neighbour), await keep(pdf(), app), await keep(pdf()), await keep(pdf())]
    const foreign = await keep(pdf(), await elsewhere.person(), shelf, elsewhere)
    await attach(first.id, [used])
    await database.owner.query('UPDATE attachment SET "erasedAt" = now() WHERE id = $1', [erased])

    await attachable([])
    await attachable([own])
    await attachable([apps], app)
    const nothing = '0195f2a0-7c1e-7abc-8def-0123456789ab'
    expect(await refused(attachable([own, nothing, others, apps, used, erased, foreign], resident, second.id))).toEqual({ code: 'attachment-unknown', errors: [1, 2, 3, 4, 5, 6].map((index) => [`/attachments/${index}`, UNKNOWN]) })
    expect(await refused(attachable([used], resident, first.id))).toEqual({ code: 'attachment-unknown', errors: [['/attachments/0', 'Attached to this request already']] })
    expect(await refused(attachable([own, own]))).toEqual({ code: 'attachment-unknown', errors: [['/attachments/1', 'The same attachment twice']] })
    expect(await refused(attachable([own], neighbour))).toEqual({ code: 'attachment-unknown', errors: [['/attachments/0', UNKNOWN]] })
    expect(await refused(attachable([own], { kind: 'app', clientId: app.clientId }))).toEqual({ code: 'attachment-unknown', errors: [['/attachments/0', UNKNOWN]] })
  })

  test('is attached in the commit of the event, with its time', async () => {
    const { id } = await wish()
    const ids = [await keep(photo), await keep(pdf())]
    expect(await attach(id, ids)).toBe(true)
    const { rows: [event] } = await database.owner.query<{ at: Date }>('SELECT at FROM event WHERE "requestId" = $1 AND seq = 2', [id])
    const views = await town.inside(() => attachmentsOf(shelf, id, staff))
    expect(views.map(({ id, seq, attachedAt }) => ({ id, seq, attachedAt }))).toEqual(ids.map((attachment) => ({ id: attachment, seq: 2, attachedAt: event!.at })))
  })

  test('once: of eight requests that want the same one, one gets it, and of the others nothing is written', async () => {
    const wishes = await Promise.all(Array.from({ length: 8 }, wish))
    const [wanted, another] = [await keep(pdf()), await keep(pdf())]
    for (const ids of [[wanted], [another]]) {
      const sent = await Promise.allSettled(wishes.map(({ id }) => attach(id, ids)))
      // In the second round, one has been accepted already: its own compare-and-set is what it loses.
      expect(sent.filter((one) => one.status === 'fulfilled' && one.value)).toHaveLength(1)
      expect(sent.flatMap((one) => (one.status === 'rejected' ? [codeOf(one.reason)] : [])).every((code) => code === 'WW409' || code === 'transition-refused')).toBe(true)
    }
    const states = await Promise.all(wishes.map(({ id }) => town.inside(() => find(database.db, id, staff))))
    expect(states.map(({ version }) => version).sort()).toEqual([1, 1, 1, 1, 1, 1, 2, 2])
    const { rows: events } = await database.owner.query('SELECT FROM event WHERE "requestId" = ANY ($1)', [wishes.map(({ id }) => id)])
    expect(events).toHaveLength(10)
  })

  test('all of it or nothing', async () => {
    const [{ id: first }, { id: second }] = [await wish(), await wish()]
    const [taken, free, erased] = [await keep(pdf()), await keep(pdf()), await keep(pdf())]
    await attach(first, [taken])
    await database.owner.query('UPDATE attachment SET "erasedAt" = now() WHERE id = $1', [erased])
    for (const ids of [[free, taken], [free, erased], [free, '0195f2a0-7c1e-7abc-8def-0123456789ab'], [free, free]]) await expect(attach(second, ids)).rejects.toMatchObject({ code: 'WW409' })
    expect((await rows()).find(({ id }) => id === free)).toMatchObject({ requestId: null })
    expect(await attach(second, [free])).toBe(true)
  })

  test('not by who decided on what is no longer so: nothing is attached, and it can be decided again', async () => {
    const { id } = await wish()
    const loose = await keep(pdf())
    await town.inside(async () => {
      const decision = decide('accept', (await load(database.db, id))!, {}, staff)
      await act(database.db, 'return', id, { reason: 'unclear' }, staff)
      const written = await commit(database.db.app, [{ ...decision, attachments: [{ requestId: id, seq: 2, id: loose }] }])
      expect(written.size).toBe(0)
    })
    await attachable([loose])
  })

  test('by the database too: not to an event that is not there, not half, and a kept row is never changed', async () => {
    const { id } = await wish()
    const loose = await keep(pdf())
    const raw = (set: string) => database.owner.query(`UPDATE attachment SET ${set} WHERE id = $1`, [loose])
    await expect(raw(`"requestId" = '${id}', seq = 7, "attachedAt" = now()`)).rejects.toMatchObject({ constraint: 'attachment_event_fkey' })
    await expect(raw(`"requestId" = '${id}'`)).rejects.toMatchObject({ constraint: 'attachment_attached_check' })
    await expect(raw('key = NULL')).rejects.toMatchObject({ constraint: 'attachment_key_check' })
    await expect(raw(`"ownerClientId" = id`)).rejects.toMatchObject({ constraint: 'attachment_owner_check' })
    await expect(raw(`type = 'text/html'`)).rejects.toMatchObject({ constraint: 'attachment_kind_check' })
    await expect(town.inside(() => database.db.app.query(`UPDATE attachment SET key = 'x' WHERE id = $1`, [loose]))).rejects.toMatchObject({ code: '42501' })
    await expect(town.inside(() => database.db.app.query('DELETE FROM attachment WHERE id = $1', [loose]))).rejects.toMatchObject({ code: '42501' })
    expect((await elsewhere.inside(() => database.db.app.query('SELECT FROM attachment WHERE id = $1', [loose]))).rowCount).toBe(0)
  })
})

describe('clearing', () => {
  test('takes what nobody attached for a day: file, row and room; the rest stays', async () => {
    const { id } = await wish()
    const [forgotten, fresh, attached] = [await keep(photo), await keep(photo), await keep(photo)]
    await attach(id, [attached])
    for (const one of [forgotten, attached]) await grownOld(one, 25)
    await grownOld(fresh, 23)
    const before = await used()
    expect(await clear()).toEqual({ cleared: 1, failed: [] })
    expect(await clear()).toEqual({ cleared: 0, failed: [] })
    expect((await rows()).map((row) => row.id)).toEqual([fresh, attached])
    expect(await shelf.keys()).toHaveLength(4)
    expect(await used()).toBeCloseTo(before / 3 * 2)
    await expect(attach((await wish()).id, [forgotten])).rejects.toMatchObject({ code: 'WW409' })
  })

  test('takes the files of what was erased at once; its row stays, for it is history', async () => {
    const { id } = await wish()
    const attached = await keep(photo)
    await attach(id, [attached])
    await database.owner.query('UPDATE attachment SET "erasedAt" = wishwall_now() WHERE id = $1', [attached])
    expect(await clear()).toEqual({ cleared: 1, failed: [] })
    expect(await rows()).toEqual([{ id: attached, requestId: id, seq: 2, key: null, erased: true }])
    expect([await shelf.keys(), await used()]).toEqual([[], 0])
    expect(await town.inside(() => attachmentsOf(shelf, id, staff))).toEqual([])
    expect(await clear()).toEqual({ cleared: 0, failed: [] })
  })

  test('by four at once frees the room once', async () => {
    const keepers = await Promise.all(Array.from({ length: 12 }, () => keep(paper(10))))
    const stays = await keep(paper(10))
    for (const id of keepers) await grownOld(id, 25)
    await Promise.all([clear(), clear(), clear(), clear()])
    await clear()
    expect((await rows()).map(({ id }) => id)).toEqual([stays])
    expect(await used()).toBe(10)
  })

  test('against attaching: one of both happens, and never a row without its file', async () => {
    const ids = await Promise.all(Array.from({ length: 12 }, () => keep(pdf())))
    const wishes = await Promise.all(ids.map(wish))
    for (const id of ids) await grownOld(id, 25)
    const [sent] = await Promise.all([Promise.allSettled(ids.map((id, index) => attach(wishes[index]!.id, [id]))), clear(), clear()])
    await clear()
    const kept = sent.filter((one) => one.status === 'fulfilled').length
    expect(await rows()).toHaveLength(kept)
    expect(await shelf.keys()).toEqual((await rows()).map(({ key }) => key).sort())
  })

  test('goes on without what the storage does not give up, and takes it later', async () => {
    const ids = [await keep(pdf()), await keep(pdf())]
    for (const id of ids) await grownOld(id, 25)
    const { rows: [stuck] } = await database.owner.query<{ key: string }>('SELECT key FROM attachment WHERE id = $1', [ids[0]])
    const error = new Error('away')
    const moody = { remove: (key: string) => (key === stuck!.key ? Promise.reject(error) : shelf.files.remove(key)) }
    expect(await clearAttachments({ db: database.db, files: moody })).toEqual({ cleared: 1, failed: [{ attachmentId: ids[0], error }] })
    expect((await rows()).map(({ id }) => id)).toEqual([ids[0]])
    expect(await clear()).toEqual({ cleared: 1, failed: [] })
    expect([await rows(), await shelf.keys(), await used()]).toEqual([[], [], 0])
  })

  test.each(CRASHES)('finds all of it again after a kill %s', async (crash) => {
    const picture = join(shelf.folder, 'picture.jpg')
    await writeFile(picture, photo)
    if (crash.startsWith('clearing')) await grownOld(await keep(photo), 25)
    const orders = JSON.stringify({ url: database.url, tenantId: town.tenantId, person: resident, folder: shelf.folder, photo: picture, crash })
    const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'attachment-crash.ts'), orders], { stdio: ['ignore', 'inherit', 'inherit'] })
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
    expect(signal).toBe('SIGKILL')

    const [row] = await rows()
    expect(row).toMatchObject({ requestId: null })
    for (const key of await shelf.keys()) expect(key.startsWith(row!.key!)).toBe(true)
    await grownOld(row!.id, 25)
    expect(await clear()).toEqual({ cleared: 1, failed: [] })
    expect([await rows(), await shelf.keys(), await used()]).toEqual([[], [], 0])
  })
})
