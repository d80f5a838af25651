import { connect, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { ProblemCode } from '../../src/domain/problems.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { attachmentRoutes } from '../../src/http/routes/attachments.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { wallRoutes } from '../../src/http/routes/wall.ts'
import { file } from '../../src/service/requests.ts'
import { signToken } from '../../src/service/tokens.ts'
import { acceptWith, testShelf, type Shelf } from '../attachments.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { CANARY, GIF_SCRIPT, HEIC, HTML, SVG, ZIP, camera, hugePng, pdf, phonePhoto } from '../pictures.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring, tokenFor } from '../processes.ts'

/** Uploading, attaching and reading, over real HTTP. */

let database: TestDatabase
let shelf: Shelf
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
let resident: PersonActor, neighbour: PersonActor, staff: PersonActor, member: PersonActor
let jpeg: Buffer
const lines: string[] = []

beforeAll(async () => {
  database = await freshDatabase()
  shelf = await testShelf(database)
  ;[town, elsewhere] = [await testPlace(database), await testPlace(database, {}, 'ELSEWHERE')]
  ;[resident, neighbour, staff, member] = await Promise.all([town.person(), town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ kinds: ['party_member'] })])
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }), checkAnswers: true,
    routes: [authentication(deps), requestRoutes(deps), wallRoutes(deps), attachmentRoutes(shelf)],
  })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
  jpeg = await camera(300, 200).jpeg().toBuffer()
})
afterAll(async () => {
  await app.close()
  await shelf.close()
  await database.drop()
})

const as = (actor: PersonActor) => ({ authorization: `Bearer ${tokenFor(town.tenantId, actor.id)}` })
const form = (bytes: Uint8Array, { field = 'file', name = 'photo.jpg', type = 'image/jpeg' } = {}): FormData => {
  const body = new FormData()
  body.append(field, new Blob([new Uint8Array(bytes)], { type }), name)
  return body
}
const post = (body: FormData, headers: Record<string, string> = as(resident)) => fetch(`${origin}/v1/attachments`, { method: 'POST', headers, body })
const upload = async (bytes: Uint8Array, actor = resident): Promise<string> => {
  const answer = await post(form(bytes), as(actor))
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { id: string }).id
}
const get = (path: string, headers: Record<string, string> = {}) => fetch(`${origin}${path}`, { headers })
const wish = () => town.inside(() => file(database.db, { item: 'companionship', title: '想有人陪我下棋', node: 'U' }, resident))
const attach = (requestId: string, ...ids: string[]) => town.inside(() => acceptWith(database, requestId, staff, ids))

interface Attached { id: string; seq: number; kind: string; bytes: number; width?: number; height?: number; url: string; thumbnailUrl: string | null; expiresAt: string }
async function attachedTo(ref: string, actor = staff): Promise<Attached[]> {
  const answer = await get(`/v1/requests/${ref}/attachments`, as(actor))
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { data: Attached[] }).data
}
async function expectRefusal(answer: Response, code: ProblemCode, members: object = {}): Promise<void> {
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(await answer.json()).toMatchObject({ code, status: answer.status, ...members })
}

describe('uploading', () => {
  test('a photo: it is told what is kept, under an id', async () => {
    const answer = await post(form(await phonePhoto()))
    expect(answer.status).toBe(201)
    const body = (await answer.json()) as Record<string, unknown>
    expect(body).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/), kind: 'photo', type: 'image/webp', bytes: expect.any(Number), width: 480, height: 640, createdAt: expect.stringMatching(/Z$/) })
  })

  test('a paper, and anything by what it is and not by what it is called', async () => {
    expect(await (await post(form(pdf('委托书'), { name: '../../照片.exe', type: 'image/png' }))).json()).toMatchObject({ kind: 'paper', type: 'application/pdf', bytes: pdf('委托书').length })
    expect(await (await post(form(jpeg, { name: 'a.pdf', type: 'application/pdf' }))).json()).toMatchObject({ kind: 'photo', width: 300 })
  })

  test.each<[string, () => Uint8Array | Promise<Uint8Array>, number, ProblemCode]>([
    ['SVG', () => SVG, 415, 'file-type-unsupported'],
    ['HTML', () => HTML, 415, 'file-type-unsupported'],
    ['a script that is a GIF', () => GIF_SCRIPT, 415, 'file-type-unsupported'],
    ['ZIP', () => ZIP, 415, 'file-type-unsupported'],
    ['HEIC', () => HEIC, 415, 'file-type-unsupported'],
    ['HTML that begins as a photo', () => Buffer.concat([jpeg.subarray(0, 20), HTML]), 400, 'file-unreadable'],
    ['half a photo', () => jpeg.subarray(0, jpeg.length / 2), 400, 'file-unreadable'],
    ['a bomb', () => hugePng(20_000, 20_000), 413, 'image-too-large'],
    ['nothing', () => Buffer.alloc(0), 400, 'validation-failed'],
    ['a byte too much', () => Buffer.concat([jpeg, Buffer.alloc(10 * 1_048_576 + 1 - jpeg.length)]), 413, 'body-too-large'],
  ])('%s named .jpg is refused', async (_, bytes, status, code) => {
    const before = await shelf.keys()
    const answer = await post(form(await bytes()))
    expect(answer.status).toBe(status)
    await expectRefusal(answer, code)
    expect(await shelf.keys()).toEqual(before)
  })

  test('exactly as much as may be is taken', async () => {
    expect((await post(form(Buffer.concat([jpeg, Buffer.alloc(10 * 1_048_576 - jpeg.length)])))).status).toBe(201)
  })

  test.each<[string, (body: FormData) => void, object]>([
    ['another field', (body) => body.append('note', 'x'), { pointer: '/note', code: 'unknown' }],
    ['another field before', (body) => { const file = body.get('file')!; body.delete('file'); body.append('a/b~', 'x'); body.append('file', file) }, { pointer: '/a~1b~0', code: 'unknown' }],
    ['two files', (body) => body.append('file', new Blob(['x']), 'b.jpg'), { pointer: '/file', code: 'too-big' }],
    ['a file in another field', (body) => { const file = body.get('file')!; body.delete('file'); body.append('photo', file) }, { pointer: '/photo', code: 'unknown' }],
    ['no file', (body) => body.delete('file'), { pointer: '/file', code: 'required' }],
    ['words for a file', (body) => body.set('file', 'words'), { pointer: '/file', code: 'type' }],
    ['a hundred fields', (body) => { for (let n = 0; n < 100; n++) body.append('file', new Blob(['x']), 'b.jpg') }, { pointer: '/file', code: 'too-big' }],
  ])('with %s is refused where it is', async (_, change, error) => {
    const body = form(jpeg)
    change(body)
    await expectRefusal(await post(body), 'validation-failed', { errors: [expect.objectContaining(error)] })
  })

  test.each<[string, string, string | Buffer, ProblemCode]>([
    ['JSON', 'application/json', '{"file":"x"}', 'media-type-unsupported'],
    ['the file alone', 'image/jpeg', 'x', 'media-type-unsupported'],
    ['a form without a boundary', 'multipart/form-data', 'x', 'body-malformed'],
    ['a form that is none', 'multipart/form-data; boundary=x', 'no form at all', 'body-malformed'],
    ['a form that breaks off in the file', 'multipart/form-data; boundary=x', '--x\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nhalf', 'body-malformed'],
    ['a field called __proto__', 'multipart/form-data; boundary=x', '--x\r\ncontent-disposition: form-data; name="__proto__"; filename="a.jpg"\r\n\r\nx\r\n--x--\r\n', 'body-malformed'],
    ['an empty form', 'multipart/form-data; boundary=x', '--x--\r\n', 'validation-failed'],
  ])('%s in place of a form is refused', async (_, type, body, code) => {
    const answer = await fetch(`${origin}/v1/attachments`, { method: 'POST', headers: { ...as(resident), 'content-type': type }, body: new Uint8Array(Buffer.from(body)) })
    await expectRefusal(answer, code)
  })

  test('needs a login, and a token that is good for it', async () => {
    await expectRefusal(await post(form(jpeg), {}), 'unauthenticated')
    const reader = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: resident.id, clientId: null, scopes: ['requests:read'] }, 'test', Date.now())
    await expectRefusal(await post(form(jpeg), { authorization: `Bearer ${reader}` }), 'forbidden')
  })

  test('that is broken off by the sender leaves nothing behind, and the next one works', async () => {
    const before = await shelf.keys()
    const socket = connect(Number(new URL(origin).port), '127.0.0.1')
    socket.write(`POST /v1/attachments HTTP/1.1\r\nhost: x\r\nauthorization: ${as(resident).authorization}\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 1000000\r\n\r\n--x\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nhalf`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    await upload(jpeg)
    expect((await shelf.keys()).length).toBe(before.length + 2)
    expect(lines.filter((line) => line.includes('"level":50'))).toEqual([])
  })
})

describe('many uploads', () => {
  const started = `POST /v1/attachments HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 1000000\r\n`
  const slow = (): Promise<Socket> => new Promise((resolve) => {
    const socket = connect(Number(new URL(origin).port), '127.0.0.1', () => {
      socket.write(`${started}authorization: ${as(resident).authorization}\r\n\r\n--x\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nhalf`)
      resolve(socket)
    })
    socket.on('error', () => {})
  })

  test('that are slow hold up nobody; too many are told to come again', async () => {
    const open = await Promise.all(Array.from({ length: 40 }, slow))
    try {
      await upload(jpeg)
      open.push(...await Promise.all(Array.from({ length: 40 }, slow)))
      const refused = await vi.waitUntil(async () => {
        open.push(await slow(), await slow())
        const answer = await post(form(jpeg), as(neighbour))
        return answer.status !== 201 && answer
      }, { timeout: 10_000 })
      expect(refused.headers.get('retry-after')).toBe('1')
      await expectRefusal(refused, 'overloaded')
    } finally {
      for (const socket of open) socket.destroy()
    }
    await vi.waitUntil(async () => (await post(form(jpeg), as(neighbour))).status === 201, { timeout: 10_000 })
  })
})

describe('a filing with photos', () => {
  const filing = (attachments: string[]) => fetch(`${origin}/v1/requests`, {
    method: 'POST', headers: { ...as(resident), 'content-type': 'application/json' }, body: JSON.stringify({ item: 'corridor-light', title: '楼道灯不亮', node: 'U', attachments }),
  })

  test('has them from its first step on; each is used once', async () => {
    const ids = [await upload(jpeg), await upload(pdf())]
    const answer = await filing(ids)
    expect(answer.status).toBe(201)
    const { id } = (await answer.json()) as { id: string }
    expect((await attachedTo(id)).map((each) => [each.id, each.seq])).toEqual(ids.map((each) => [each, 1]))
    await expectRefusal(await filing([await upload(jpeg), ids[0]!]), 'attachment-unknown', { status: 422, errors: [expect.objectContaining({ pointer: '/attachments/1' })] })
  })

  test('of six that want the same photo, one gets it, and the others are told', async () => {
    const id = await upload(jpeg)
    const answers = await Promise.all(Array.from({ length: 6 }, () => filing([id])))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422, 422, 422, 422, 422])
    for (const answer of answers) if (answer.status === 422) await expectRefusal(answer, 'attachment-unknown')
    const { rows } = await database.owner.query(`SELECT FROM attachment a JOIN event e ON e."requestId" = a."requestId" AND e.seq = a.seq AND e.verb = 'file' WHERE a.id = $1`, [id])
    expect(rows).toHaveLength(1)
  })

  test('of another\'s upload is refused as of none', async () => {
    const theirs = await upload(jpeg, neighbour)
    const [one, other] = await Promise.all([filing([theirs]), filing(['0195f2a0-7c1e-7abc-8def-0123456789ab'])])
    const words = async (answer: Response) => ({ ...(await answer.json()) as object, requestId: null })
    expect(await words(one)).toEqual(await words(other))
  })
})

describe('reading', () => {
  test('what hangs on a request: each with its step, its size and links that open it', async () => {
    const { id, number } = await wish()
    const [photo, paper] = [await upload(await phonePhoto()), await upload(pdf('委托书'))]
    expect(await attachedTo(id)).toEqual([])
    await attach(id, photo, paper)
    for (const ref of [id, number]) for (const actor of [staff, resident]) expect((await attachedTo(ref, actor)).map((each) => [each.id, each.kind, each.seq])).toEqual([[photo, 'photo', 2], [paper, 'paper', 2]])

    const [shown, written] = await attachedTo(id)
    const picture = await get(shown!.url)
    expect(picture.status).toBe(200)
    const bytes = Buffer.from(await picture.arrayBuffer())
    expect(bytes.length).toBe(shown!.bytes)
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 480, height: 640 })
    expect(bytes.includes(CANARY) || bytes.includes('Exif')).toBe(false)
    expect((await sharp(Buffer.from(await (await get(shown!.thumbnailUrl!)).arrayBuffer())).metadata()).height).toBe(320)
    expect(Object.fromEntries(picture.headers)).toMatchObject({
      'content-type': 'image/webp', 'content-length': String(shown!.bytes), 'cache-control': 'private, no-store', 'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringMatching(/default-src 'none'.*sandbox/), 'content-disposition': `inline; filename="photo-${photo}.webp"`, 'referrer-policy': 'no-referrer',
    })

    const document = await get(written!.url)
    expect(document.headers.get('content-type')).toBe('application/pdf')
    expect(document.headers.get('content-disposition')).toMatch(/^attachment; /)
    expect(Buffer.from(await document.arrayBuffer())).toEqual(pdf('委托书'))
    expect(written).toMatchObject({ thumbnailUrl: null })
    expect((await fetch(`${origin}${shown!.url}`, { method: 'HEAD' })).status).toBe(200)
  })

  test('is for those who see the request whole: everybody else, and another tenant, get the same 404', async () => {
    const { id } = await wish()
    await attach(id, await upload(jpeg))
    const stranger = await elsewhere.person({ can: ['view', 'dispatch'] })
    const answers = await Promise.all([
      get(`/v1/requests/${id}/attachments`, as(neighbour)),
      get(`/v1/requests/${id}/attachments`, { authorization: `Bearer ${tokenFor(elsewhere.tenantId, stranger.id)}` }),
      get(`/v1/requests/${id.replace(/.$/, (last) => (last === '0' ? '1' : '0'))}/attachments`, as(staff)),
    ])
    for (const answer of answers) await expectRefusal(answer, 'request-not-found', { status: 404 })
    await expectRefusal(await get(`/v1/requests/${id}/attachments`), 'unauthenticated')
  })

  test('never on a wall: the claimer who sees it there, and the wall itself, are shown nothing', async () => {
    const { id } = await wish()
    await attach(id, await upload(jpeg))
    await database.owner.query(`INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
      SELECT "tenantId", id, 3, 'place', 'accepted', 'open', "filedAt", 1, path, 'system', '{}' FROM request WHERE id = $1`, [id])
    await database.owner.query(`UPDATE request SET state = 'open', version = 3, "placedAt" = "filedAt" WHERE id = $1`, [id])
    await database.owner.query(`INSERT INTO wall_entry ("tenantId", "requestId", seq, title, "scopePath") VALUES ($1, $2, 3, '陪伴', 'S/')`, [town.tenantId, id])
    const wall = await (await get('/v1/wall?tenant=TEST')).text()
    expect(wall).toContain(id)
    expect(wall).not.toMatch(/attachment|photo|webp|thumbnail/)
    await expectRefusal(await get(`/v1/requests/${id}/attachments`, as(member)), 'request-not-found')
  })
})

describe('a link', () => {
  let links: Attached[]
  let loose: string
  beforeAll(async () => {
    const { id } = await wish()
    const ids = [await upload(jpeg), await upload(jpeg)]
    await attach(id, ...ids)
    links = await attachedTo(id)
    loose = await upload(jpeg)
  })

  const changed = (url: string, change: (parts: URL) => void): string => {
    const parts = new URL(url, origin)
    change(parts)
    return `${parts.pathname}${parts.search}`
  }

  test('opens one file of one attachment in one tenant until one time: nothing of it can be changed', async () => {
    const [{ url, id }, other] = links as [Attached, Attached]
    const later = String(Number(new URL(url, origin).searchParams.get('expires')) + 1)
    const signature = new URL(url, origin).searchParams.get('signature')!
    const forged = [
      changed(url, (parts) => { parts.pathname = parts.pathname.replace(id, other.id) }),
      changed(url, (parts) => { parts.pathname = parts.pathname.replace(id, loose) }),
      changed(url, (parts) => { parts.pathname = parts.pathname.replace('photo', 'thumbnail') }),
      changed(url, (parts) => { parts.pathname = parts.pathname.replace('photo.webp', 'paper.pdf') }),
      changed(url, (parts) => parts.searchParams.set('expires', later)),
      changed(url, (parts) => parts.searchParams.set('tenant', 'ELSEWHERE')),
      changed(url, (parts) => parts.searchParams.set('tenant', 'NOWHERE')),
      changed(url, (parts) => parts.searchParams.set('signature', new URL(other.url, origin).searchParams.get('signature')!)),
      changed(url, (parts) => parts.searchParams.set('signature', signature.slice(0, -2))),
      changed(url, (parts) => parts.searchParams.set('signature', '')),
      ...Array.from({ length: 20 }, (_, index) => changed(url, (parts) => parts.searchParams.set('signature', signature.slice(0, index) + (signature[index] === 'A' ? 'B' : 'A') + signature.slice(index + 1)))),
    ]
    for (const path of forged) await expectRefusal(await get(path), 'not-found', { status: 404 })
    expect((await get(url)).status).toBe(200)
  })

  test.each(['expires', 'signature'])('without its %s is none', async (part) => {
    await expectRefusal(await get(changed(links[0]!.url, (parts) => parts.searchParams.delete(part))), 'validation-failed')
  })

  test('to what is erased opens nothing', async () => {
    await database.owner.query('UPDATE attachment SET "erasedAt" = now() WHERE id = $1', [links[1]!.id])
    await expectRefusal(await get(links[1]!.url), 'not-found')
    await database.owner.query('UPDATE attachment SET "erasedAt" = NULL WHERE id = $1', [links[1]!.id])
    expect((await get(links[1]!.url)).status).toBe(200)
  })

  test('to a file that the storage has lost is a fault of ours, said in the log', async () => {
    const { rows: [row] } = await database.owner.query<{ key: string }>('SELECT key FROM attachment WHERE id = $1', [links[1]!.id])
    await shelf.files.remove(row!.key)
    await expectRefusal(await get(links[1]!.url), 'internal')
    expect(lines.filter((line) => line.includes('"level":50')).at(-1)).toContain('ENOENT')
  })

  test('is written to no log', () => {
    expect(lines.some((line) => line.includes('/v1/attachments/:id/:file'))).toBe(true)
    expect(lines.join('')).not.toMatch(/signature|expires=/)
  })

  // Last: the clock is moved, and the app's connections are those of before.
  test('is over after ten minutes', async () => {
    const { expiresAt, url } = links[0]!
    const { rows: [row] } = await database.owner.query<{ left: number }>(`SELECT extract(epoch FROM $1::timestamptz - wishwall_now())::float AS left`, [expiresAt])
    expect(row!.left).toBeGreaterThan(500)
    expect(row!.left).toBeLessThanOrEqual(600)
    await database.setClock(new Date().toISOString(), '9 minutes')
    expect((await fresh(url)).status).toBe(200)
    await database.setClock(new Date().toISOString(), '11 minutes')
    const answer = await fresh(url)
    expect(answer.status).toBe(403)
    await expectRefusal(answer, 'link-expired')
  })

  async function fresh(url: string): Promise<Response> {
    const again = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication({ db: database.db, keyring, clock: Date.now }), attachmentRoutes(shelf)] })
    try {
      const answer = await fetch(`${await again.listen({ port: 0, host: '127.0.0.1' })}${url}`)
      // Read whole, or the connection is still in use when the server closes.
      return new Response(await answer.arrayBuffer(), answer)
    } finally {
      await again.close()
    }
  }
})

test('what is documented: a form with one file, and a file as the answer', async () => {
  const paths = (await app.inject('/openapi.json')).json<{ paths: Record<string, Record<string, any>> }>().paths
  expect(paths['/v1/attachments']!.post.requestBody.content).toMatchObject({ 'multipart/form-data': { schema: { type: 'object', properties: { file: { type: 'string', format: 'binary' } } } } })
  expect(Object.keys(paths['/v1/attachments']!.post.responses)).toEqual(expect.arrayContaining(['201', '400', '409', '413', '415']))
  expect(Object.keys(paths['/v1/attachments/{id}/{file}']!.get.responses['200'].content)).toEqual(['image/webp', 'application/pdf'])
  expect(paths['/v1/attachments/{id}/{file}']!.get.security).toEqual([])
})
