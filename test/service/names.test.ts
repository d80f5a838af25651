import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { bigrams, simplified } from '../../src/domain/search.ts'
import { inTenant } from '../../src/service/db.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { list } from '../../src/service/list.ts'
import { namesakes, takeInNamesOnce } from '../../src/service/names.ts'
import { changePerson, createPerson, listPeople } from '../../src/service/people.ts'
import { act, file } from '../../src/service/requests.ts'
import { rewrap } from '../../src/service/rewrap.ts'
import { createSubject, eraseSubject } from '../../src/service/subjects.ts'
import { transaction } from '../../src/service/transaction.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** People and their requests are found by parts of a name that nobody can read in the database. */

let database: TestDatabase
let town: TestPlace
let grid: PersonActor
const document = generateKeyring()
const keyring = parseKeyring(JSON.stringify(document))
beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  grid = await town.person({ at: 'S', can: ['view', 'file_for', 'dispatch', 'publish', 'handle'] })
})
afterAll(() => database.drop())

const inside = <T>(work: () => Promise<T>): Promise<T> => town.inside(work)
const person = (name: string) => createPerson(database.db, keyring, { name, nodeId: town.node.U! })
const people = async (q: string, actor = grid): Promise<string[]> => {
  const ids: string[] = []
  for (let cursor: string | undefined; ;) {
    const { data, page } = await listPeople(database.db, keyring, { q, limit: 7, ...(cursor && { cursor }) }, actor)
    ids.push(...data.map(({ id }) => id))
    if (page.nextCursor === null) return ids.sort()
    cursor = page.nextCursor
  }
}
const requests = async (q: string, actor = grid): Promise<string[]> => (await list(database.db, { q, limit: 100 }, actor, keyring)).data.map(({ id }) => id).sort()
const grams = async (name = 'true') => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM subject_name WHERE gram IS NOT NULL AND ${name}`)).rows[0]!.n

test('finds exactly those whom reading every name would find', () => inside(async () => {
  let seed = 20261122
  const draw = (most: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % most
  const characters = [...'王李張张赵趙陈陳欧阳小大明华華建国國军軍丽麗']
  const known = new Map<string, string>()
  for (let n = 0; n < 150; n++) {
    const name = Array.from({ length: 2 + draw(3) }, () => characters[draw(characters.length)]!).join('')
    known.set(await person(name), name)
  }
  for (let n = 0; n < 120; n++) {
    const word = Array.from({ length: 2 + draw(2) }, () => characters[draw(characters.length)]!).join('')
    // A naive scan: the simplified pairs of the word, all of them among those of the name.
    const naive = [...known].filter(([, name]) => [...bigrams(word)].every((pair) => bigrams(name).has(pair))).map(([id]) => id).sort()
    const found = await people(word)
    expect(found, word).toEqual(naive)
    for (const [id, name] of known) if (simplified(name).includes(simplified(word))) expect(found, `${word} in ${name}`).toContain(id)
  }
  const [[id, name]] = [...known] as [[string, string]]
  expect(await people(name)).toContain(id)
  expect(await people([...name].slice(0, 2).join(''))).toContain(id)
  expect(await people('张华')).toEqual(await people('張華'))
}), 60_000)

test('finds requests by filer, beneficiary and guardian, never a confidential one, and only for those who look after people', () => inside(async () => {
  const { db } = database
  const item = 'companionship'
  const options = { keyring }
  const filer = await person('司馬相如')
  const of = [
    await file(db, { item, title: '想有人陪', node: 'U', filer }, grid, options),
    await file(db, { item, title: '想有人陪', node: 'U', filer: { name: '诸葛孔明' }, beneficiary: { name: '司马相国' } }, grid, options),
    await file(db, { item, title: '想有人陪', node: 'U', filer: { name: '诸葛瞻' }, guardian: filer }, grid, options),
    await file(db, { item, title: '问司马一家好', node: 'U', filer: { name: '诸葛亮' } }, grid, options),
  ].map(({ id }) => id).sort()
  const secret = await file(db, { item, title: '想有人陪', node: 'U', filer, confidential: true }, grid, options)
  expect(await requests('司马')).toEqual(of)
  expect(await requests('相如')).toEqual([of[0], of[2]])
  expect(await requests('诸葛')).toEqual(of.slice(1))
  expect(await requests('诸葛 司马')).toEqual(of.slice(1))
  expect(await requests('司马')).not.toContain(secret.id)
  const watching = { ...grid, duties: grid.duties.map((duty) => ({ ...duty, capabilities: ['view' as const, 'dispatch' as const] })) }
  // The title alone.
  expect(await requests('司马', watching)).toEqual([of[3]])
  await expect(people('司马', watching)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(people('司')).rejects.toMatchObject({ code: 'validation-failed' })
  // Done with, it is found as well.
  await act(db, 'accept', of[0]!, {}, grid)
  expect(await requests('相如')).toEqual([of[0], of[2]])
}), 60_000)

test('forgets a name that was changed or erased, and shows no tenant those of another', () => inside(async () => {
  const { db } = database
  const id = await person('慕容复示')
  const { rows: [row] } = await database.owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = $1', [id])
  const own = `"subjectId" = '${row!.subjectId}'`
  expect([await people('慕容'), await grams(own)]).toEqual([[id], 3])
  await changePerson(db, keyring, id, { name: '独孤示' }, { ...grid, duties: grid.duties.map((duty) => ({ ...duty, capabilities: [...duty.capabilities, 'administer'] })) })
  expect([await people('慕容'), await people('独孤'), await grams(own)]).toEqual([[], [id], 2])
  const other = await testPlace(database, {}, 'OTHER')
  await other.inside(() => createSubject(db, keyring, { name: '独孤求败' }))
  expect(await inTenant(other.tenantId, () => namesakes(db, keyring, '独孤示'))).toEqual({ subjects: [] })
  const { rows } = await database.owner.query(`SELECT gram FROM subject_name WHERE gram IS NOT NULL GROUP BY gram HAVING count(DISTINCT "tenantId") > 1`)
  expect(rows).toEqual([])
  expect(await eraseSubject(db, row!.subjectId)).toBe(true)
  expect([await people('独孤'), await grams(own)]).toEqual([[], 0])
}), 60_000)

test('takes in the names of before, of all tenants, and none of somebody who is erased meanwhile', () => inside(async () => {
  const { db, owner } = database
  const [old, gone] = [await person('令狐冲示'), await person('东方不败')]
  await owner.query(`DELETE FROM subject_name; UPDATE subject SET "namesKid" = NULL`)
  expect(await people('令狐')).toEqual([])
  const { rows: [row] } = await owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = $1', [gone])
  // The worker has taken the name in and not committed; who erases waits for it, and finds what it wrote.
  let erased: Promise<boolean> | undefined
  await transaction(db.system, async (client) => {
    const { takeInNames } = await import('../../src/service/names.ts')
    expect((await takeInNames(client, keyring)).done).toBeGreaterThan(100)
    erased = eraseSubject(db, row!.subjectId)
    await owner.query(`SELECT pg_sleep(0.2)`)
  })
  expect(await erased).toBe(true)
  expect([await people('令狐'), await people('东方')]).toEqual([[old], []])
  expect(await grams(`"subjectId" = '${row!.subjectId}'`)).toBe(0)
  expect(await takeInNamesOnce(db, keyring)).toMatchObject({ done: 0, failed: [] })
}), 60_000)

test('finds names under a retired key, and rewrapping hashes them by the newest', () => inside(async () => {
  const id = await person('上官婉儿')
  const [fresh] = generateKeyring().index
  const both = parseKeyring(JSON.stringify({ ...document, index: [fresh, ...document.index] }))
  const alone = parseKeyring(JSON.stringify({ ...document, index: [fresh] }))
  const found = async (ring: typeof keyring) => (await listPeople(database.db, ring, { q: '上官', limit: 5 }, grid)).data.map((one) => one.id)
  expect([await found(both), await found(alone)]).toEqual([[id], []])
  const client = await database.owner.connect()
  const done = await rewrap(client, both).finally(() => client.release())
  expect(done['subject_name']).toBeGreaterThan(150)
  expect([await found(both), await found(alone)]).toEqual([[id], [id]])
  await database.owner.query(`UPDATE subject SET "namesKid" = NULL`)
  await takeInNamesOnce(database.db, keyring)
}), 60_000)

test('finds what very many are called, walking from the newest on, and rare names by the index', () => inside(async () => {
  const { owner } = database
  const [first] = [await person('万俟示例')]
  const { rows: [row] } = await owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = $1', [first])
  // Two thousand namesakes, by the hashes of one.
  await owner.query(`INSERT INTO subject ("tenantId", id, key, kid, sealed, "namesKid") SELECT "tenantId", gen_random_uuid(), key, kid, sealed, 'mass' FROM subject, generate_series(1, 2500) WHERE id = $1`, [row!.subjectId])
  await owner.query(`INSERT INTO subject_name SELECT s."tenantId", s.id, n.n, n.gram FROM subject s, subject_name n WHERE s."namesKid" = 'mass' AND n."subjectId" = $1 AND n.n > 1; `.replace('$1', `'${row!.subjectId}'`))
  await owner.query('ANALYZE subject_name')
  expect(await namesakes(database.db, keyring, '俟示例')).toHaveProperty('frequent')
  expect(await people('示例')).toContain(first)
  expect(await people('万俟')).toEqual([first])
  const { id } = await file(database.db, { item: 'companionship', title: '想有人陪', node: 'U', filer: first }, grid, { keyring })
  expect(await requests('俟示例')).toEqual([id])
  expect(await requests('万俟')).toEqual([id])
  const plan = await database.db.app.query(`EXPLAIN SELECT s."subjectId" FROM subject_name s WHERE s."tenantId" = '${town.tenantId}' AND s.gram = '\\x00112233445566778899aabbccddeeff'`)
  expect(JSON.stringify(plan.rows)).toMatch(/Index.*subject_name_gram_idx/)
}), 60_000)
