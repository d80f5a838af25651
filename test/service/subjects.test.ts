import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyringFrom } from '../../src/bin/keyring-file.ts'
import { inTenant } from '../../src/service/db.ts'
import { generateKeyring, parseKeyring, type KeyringDocument } from '../../src/service/keyring.ts'
import { createSubject, eraseSubject, findSubjects, openSubjects, type Personal } from '../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

const personal = { name: '王小明', phone: '13800138000', door: '3栋2单元501' }
const document = generateKeyring()
const keyring = parseKeyring(JSON.stringify(document))

/** The keyring after `use` was rotated. */
const rotated = (use: keyof KeyringDocument, { keepOld = true } = {}) => {
  const [fresh] = generateKeyring()[use]
  return parseKeyring(JSON.stringify({ ...document, [use]: [fresh, ...(keepOld ? document[use] : [])] }))
}

describe('subjects', () => {
  let test: TestDatabase
  let place: TestPlace
  let other: TestPlace
  beforeAll(async () => {
    test = await freshDatabase()
    place = await testPlace(test)
    other = await testPlace(test, {}, 'OTHER')
  })
  afterAll(() => test?.drop())
  const create = (data: Personal = personal, at = place) => at.inside(() => createSubject(test.db, keyring, data))

  it('opens many at once, and leaves out those that do not exist', async () => {
    const [one, two] = [await create(), await create({ name: '李四' })]
    const opened = await place.inside(() => openSubjects(test.db, keyring, [two, one, uuidv7()]))
    expect(opened).toEqual(new Map<string, Personal>([[one, personal], [two, { name: '李四' }]]))
  })

  it('writes nothing readable', async () => {
    const id = await create()
    const { rows: [row] } = await test.owner.query('SELECT key, sealed, phone FROM subject WHERE id = $1', [id])
    const bytes = Buffer.concat([row.key, row.sealed, row.phone])
    for (const word of Object.values(personal)) expect(bytes.includes(word)).toBe(false)
    expect(row.phone).toHaveLength(32)
  })

  it('finds by phone in its tenant only, and equal numbers look different in another', async () => {
    const [here, there] = [await create({ phone: '13911112222' }), await create({ phone: '13911112222' }, other)]
    expect(await place.inside(() => findSubjects(test.db, keyring, '13911112222'))).toEqual([here])
    expect(await place.inside(() => findSubjects(test.db, keyring, '13911112223'))).toEqual([])
    const { rows } = await test.owner.query('SELECT DISTINCT phone FROM subject WHERE id = ANY($1)', [[here, there]])
    expect(rows).toHaveLength(2)
  })

  it('shows nothing of another tenant', async () => {
    const id = await create()
    expect(await other.inside(() => openSubjects(test.db, keyring, [id]))).toEqual(new Map())
    expect(await other.inside(() => eraseSubject(test.db, id))).toBe(false)
  })

  it('is gone once erased', async () => {
    const id = await create()
    expect(await place.inside(() => eraseSubject(test.db, id))).toBe(true)
    expect(await place.inside(() => eraseSubject(test.db, id))).toBe(false)
    expect(await place.inside(() => openSubjects(test.db, keyring, [id]))).toEqual(new Map())
    const { rows } = await test.owner.query('SELECT key, kid, sealed, phone, "erasedAt" IS NOT NULL AS erased FROM subject WHERE id = $1', [id])
    expect(rows).toEqual([{ key: null, kid: null, sealed: null, phone: null, erased: true }])
  })

  it('does not open in another row, nor with a changed bit', async () => {
    const [mine, his] = [await create(), await create({ name: '李四' })]
    await test.owner.query('UPDATE subject t SET (key, sealed) = (SELECT key, sealed FROM subject WHERE id = $1) WHERE id = $2', [mine, his])
    await expect(place.inside(() => openSubjects(test.db, keyring, [his]))).rejects.toThrow(/authenticate/)
    await test.owner.query('UPDATE subject SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE id = $1', [mine])
    await expect(place.inside(() => openSubjects(test.db, keyring, [mine]))).rejects.toThrow(/authenticate/)
  })

  it('opens and finds after rotation, and names the key that is missing', async () => {
    const id = await create({ phone: '13700001111' })
    expect((await place.inside(() => openSubjects(test.db, rotated('seal'), [id]))).get(id)).toEqual({ phone: '13700001111' })
    expect(await place.inside(() => findSubjects(test.db, rotated('index'), '13700001111'))).toEqual([id])
    await expect(place.inside(() => openSubjects(test.db, rotated('seal', { keepOld: false }), [id]))).rejects.toThrow(`no key ${document.seal[0].kid}`)
  })

  it('needs a tenant', async () => {
    await expect(createSubject(test.db, keyring, personal)).rejects.toThrow('no tenant')
    await expect(inTenant(uuidv7(), () => createSubject(test.db, keyring, personal))).rejects.toThrow()
  })
})

describe('keyring', () => {
  const text = JSON.stringify(document)
  const broken = (change: (copy: Record<string, { kid: string; key: string }[]>) => void) => {
    const copy = JSON.parse(text)
    change(copy)
    return JSON.stringify(copy)
  }
  it.each([
    ['not JSON', '{"sign": "s3cret', /not JSON/],
    ['a use missing', broken((copy) => delete copy['audit']), /audit/],
    ['no key at all', broken((copy) => (copy['seal'] = [])), /seal/],
    ['one kid twice', broken((copy) => copy['seal']!.push(copy['seal']![0]!)), /share a kid/],
    ['a short key', broken((copy) => (copy['seal']![0]!.key = 'c2hvcnQ')), /seal .*: 5 bytes where 32/],
    ['a symmetric key for signing', broken((copy) => (copy['sign'] = copy['seal']!)), /sign .*: not a PKCS #8 key/],
  ])('is refused with %s, in one line without any key', (_, given, reason) => {
    const attempt = () => parseKeyring(given)
    expect(attempt).toThrow(reason)
    expect(attempt).toThrow(/^[^\n]{1,200}$/)
    for (const { key } of Object.values(document).flat()) expect(attempt).not.toThrow(key)
  })

  it('comes from the configuration', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wish-wall-keyring-'))
    const file = join(folder, 'keyring.json')
    await writeFile(file, text)
    for (const given of [{ keyring: text }, { keyringFile: file }]) expect((await keyringFrom(given)).sign[0].kid).toBe(document.sign[0].kid)
    await expect(keyringFrom({})).rejects.toThrow(/^no keyring: set WISHWALL_KEYRING_FILE/)
    await expect(keyringFrom({ keyring: text, keyringFile: file })).rejects.toThrow('not both')
    await expect(keyringFrom({ keyringFile: join(folder, 'none') }, join(folder, 'demo'))).rejects.toThrow('cannot be read (ENOENT)')
    await expect(keyringFrom({ keyring: '{}' })).rejects.toThrow(/^WISHWALL_KEYRING: the keyring is not valid/)
    await rm(folder, { recursive: true })
  })

  it('is made once for the demo, whoever comes first, readable by the owner only', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wish-wall-keyring-'))
    const file = join(folder, 'keyring.json')
    const rings = await Promise.all(Array.from({ length: 8 }, () => keyringFrom({}, file)))
    expect(new Set(rings.map(({ sign }) => sign[0].kid)).size).toBe(1)
    expect((await keyringFrom({}, file)).sign[0].kid).toBe(rings[0]!.sign[0].kid)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['keyring.json'])
    await rm(folder, { recursive: true })
  })
})
