import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from 'qrcode'
import sharp from 'sharp'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { qrCode } from '../../src/http/contact-page.ts'
import { contactRoutes } from '../../src/http/routes/contacts.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { grantDuty } from '../../src/service/appointments.ts'
import { createPerson } from '../../src/service/people.ts'
import { eraseSubject } from '../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** 责任公示 over real HTTP: who is on it, what of him, for whom; the card that makes him first contact. */

let database: TestDatabase
let town: TestPlace, other: TestPlace
let app: FastifyInstance
let origin: string
let resident: PersonActor
let head: string, secretary: string, standIn: string, headDuty: string, secretaryDuty: string
const bearer = (id: string, place = town) => tokenFor(place.tenantId, id)

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  other = await testPlace(database, {}, 'TWO')
  resident = await town.person()
  const { db, owner } = database
  await town.inside(async () => {
    ;[head, secretary, standIn] = await Promise.all(['胡<示例>', '周示例', '朱示例'].map((name, index) => createPerson(db, keyring, { name, login: `H-${index}`, phone: `1390013900${index}` }))) as [string, string, string]
    await owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'head', '楼栋长', '{view,file_for,dispatch,handle}'), ($1, 'secretary', '支部书记', '{view,dispatch,publish}'), ($1, 'admin', '管理员', '{administer,audit}'), ($1, 'manager', '物业经理', '{handle}')`, [town.tenantId])
    headDuty = await grantDuty(db, { personId: head, roleCode: 'head', nodeId: town.node.B })
    secretaryDuty = await grantDuty(db, { personId: secretary, roleCode: 'secretary', nodeId: town.node.P })
    await grantDuty(db, { personId: standIn, roleCode: 'admin', nodeId: town.node.U })
    const firm = await town.organisation('FIRM')
    await grantDuty(db, { personId: standIn, roleCode: 'manager', nodeId: town.node.P, organisationId: firm })
    await owner.query(`UPDATE node SET name = CASE code WHEN 'P' THEN '银雀华府' WHEN 'B' THEN '3号楼' WHEN 'U' THEN '1单元' ELSE name END WHERE "tenantId" = $1`, [town.tenantId])
  })
  const deps = { db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), contactRoutes(deps), requestRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const put = (id: string, body: object): Promise<Answer> => call(origin, bearer(id), 'PUT', '/v1/me/contact-card', body)
const open = async (path = '/v1/nodes/U/contacts?tenant=ONE'): Promise<Record<string, any>> => (await fetch(`${origin}${path}`)).json() as Promise<Record<string, any>>
const asResident = async () => (await call(origin, bearer(resident.id), 'GET', '/v1/nodes/U/contacts')).body
const headOn = (body: Record<string, any>) => body.rungs[1].contacts[0]

describe('the board', () => {
  test('goes from the place up; a vacant rung says who answers, and nobody is on it who only administers', async () => {
    const { node, rungs } = await open()
    expect(node.code).toBe('U')
    expect(rungs.map(({ node, levelName, vacant, answeredAt, contacts }: any) => [node.code, levelName, vacant, answeredAt?.code ?? null, contacts.map(({ role }: any) => role.code)])).toEqual([
      ['U', '单元', true, 'B', []], ['B', '楼栋', false, null, ['head']], ['P', '小区', false, null, ['secretary']], ['C', '社区', true, null, []], ['S', '街道', true, null, []],
    ])
    expect(rungs[2].organisations.map(({ code, contacts }: any) => [code, contacts.length])).toEqual([['BRANCH', 0], ['FIRM', 1]])
  })

  test('shows nothing of anybody who has not agreed to it', async () => {
    for (const body of [await open(), await asResident()]) {
      expect(headOn(body)).toEqual({ role: { code: 'head', name: '楼栋长' }, standIn: false, name: null, phone: null })
      expect(JSON.stringify(body)).not.toMatch(/胡|周示例|139/)
    }
  })

  test('shows the fields that he has given, to whom he has given them, and the work phone and not his own', async () => {
    expect((await put(head, { fields: ['name'], audience: 'residents' })).status).toBe(200)
    expect([headOn(await asResident()).name, headOn(await open()).name]).toEqual(['胡<示例>', null])
    const missing = await put(head, { fields: ['name', 'phone'], audience: 'public' })
    expect([missing.status, missing.body.errors[0].pointer]).toEqual([400, '/workPhone'])
    expect((await put(head, { fields: ['name', 'phone'], audience: 'public', workPhone: '0539-8000123' })).body.workPhone).toBe('05398000123')
    expect(headOn(await open())).toMatchObject({ name: '胡<示例>', phone: '05398000123' })
    expect(JSON.stringify(await asResident())).not.toContain('139001390')
    // of another tenant he is one of the public, and an app by itself is too
    const guest = await other.person()
    await put(secretary, { fields: ['name'], audience: 'residents' })
    const seen = async (token: string) => (await call(origin, token, 'GET', '/v1/nodes/U/contacts?tenant=ONE')).body.rungs[2].contacts[0].name
    const clientId = (await town.app()).clientId
    await database.owner.query(`UPDATE client SET scopes = '{directory:read}' WHERE id = $1`, [clientId])
    expect([await seen(bearer(guest.id, other)), await seen(tokenFor(town.tenantId, clientId, 'app')), await seen(bearer(resident.id))]).toEqual([null, null, '周示例'])
  })

  test('forgets at once what is taken back', async () => {
    await put(secretary, { duty: secretaryDuty, fields: [], audience: 'public' })
    expect((await asResident()).rungs[2].contacts[0]).toMatchObject({ name: null, phone: null })
  })

  test('has the stand-in while he stands in, with what he himself has agreed to', async () => {
    await database.owner.query(`UPDATE duty SET "standInId" = $2 WHERE id = $1`, [headDuty, standIn])
    database.db.memory.clear()
    expect(headOn(await open())).toEqual({ role: { code: 'head', name: '楼栋长' }, standIn: true, name: null, phone: null })
    expect((await put(standIn, { duty: headDuty, fields: ['name'], audience: 'public' })).status).toBe(200)
    expect(headOn(await open()).name).toBe('朱示例')
    await database.owner.query(`UPDATE duty SET "standInId" = NULL WHERE id = $1`, [headDuty])
    database.db.memory.clear()
    expect(headOn(await open()).name).toBe('胡<示例>')
  })

  test('is for the holder alone to agree to', async () => {
    expect((await put(resident.id, { fields: ['name'], audience: 'public' })).status).toBe(403)
    const foreign = await put(head, { duty: secretaryDuty, fields: ['name'], audience: 'public' })
    expect([foreign.status, foreign.body.errors[0].pointer]).toEqual([400, '/duty'])
    expect((await put(head, { fields: ['name', 'name'], audience: 'public' })).status).toBe(400)
    const own = (await call(origin, bearer(head), 'GET', '/v1/me/contact-cards')).body
    expect(own).toMatchObject({ workPhone: '05398000123', cards: [{ duty: headDuty, fields: ['name', 'phone'], audience: 'public' }] })
  })

  test('accounts for every change, in codes', async () => {
    const { rows } = await database.owner.query<{ objectId: string; actorId: string; details: object }>(`SELECT "objectId", "actorId", details FROM audit_entry WHERE action = 'consent.changed' AND "tenantId" = $1 ORDER BY at, id`, [town.tenantId])
    expect(rows.map(({ objectId, actorId, details }) => [objectId, actorId, details])).toEqual([
      [headDuty, head, { fields: ['name'], audience: 'residents', phone: false }], [headDuty, head, { fields: ['name', 'phone'], audience: 'public', phone: true }],
      [secretaryDuty, secretary, { fields: ['name'], audience: 'residents', phone: false }], [secretaryDuty, secretary, { fields: [], audience: 'public', phone: false }],
      [headDuty, standIn, { fields: ['name'], audience: 'public', phone: false }],
    ])
  })

  test('is found by address', async () => {
    for (const address of ['银雀华府3号楼1单元502', '银雀华府3-1-502', 'U-502']) expect((await open(`/v1/contacts?tenant=ONE&address=${encodeURIComponent(address)}`)).node.code, address).toBe('U')
    expect((await fetch(`${origin}/v1/contacts?tenant=ONE&address=${encodeURIComponent('天边')}`)).status).toBe(404)
    expect((await fetch(`${origin}/v1/nodes/NOWHERE/contacts?tenant=ONE`)).status).toBe(404)
    expect((await fetch(`${origin}/v1/nodes/U/contacts?tenant=TWO`)).status).toBe(200)
  })
})

describe('a filing by card', () => {
  const file = (body: object, who = resident.id) => call(origin, bearer(who), 'POST', '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U', ...body }, { 'idempotency-key': crypto.randomUUID() })
  const stored = async (id: string) => (await database.owner.query('SELECT source, "firstContactId" FROM request WHERE id = $1', [id])).rows[0]

  test('has who is on the card as first contact, also when another holds the post by then', async () => {
    const { card } = (await open()).filing
    expect(card).toMatch(/^B~head~/)
    const { status, body } = await file({ card })
    expect([status, await stored(body.id)]).toEqual([201, { source: 'card', firstContactId: head }])
    expect((await call(origin, bearer(head), 'GET', `/v1/requests/${body.id}`)).body.firstContact).toBe(head)
    await database.owner.query(`UPDATE duty SET "standInId" = $2 WHERE id = $1`, [headDuty, standIn])
    expect(await stored((await file({ card })).body.id)).toEqual({ source: 'card', firstContactId: standIn })
    await database.owner.query(`UPDATE duty SET "standInId" = NULL WHERE id = $1`, [headDuty])
    // who files by his own card is not his own first contact
    expect(await stored((await file({ card }, head)).body.id)).toEqual({ source: 'card', firstContactId: null })
  })

  test('of a confidential matter tells nobody', async () => {
    const { card } = (await open()).filing
    expect(await stored((await file({ card, confidential: true })).body.id)).toEqual({ source: 'card', firstContactId: null })
  })

  test('needs a card of ours, and of this place', async () => {
    const { card } = (await open()).filing as { card: string }
    const at = async (body: object) => {
      const answer = await file(body)
      return [answer.status, answer.body.errors?.[0].pointer]
    }
    expect(await at({ card: card.replace('~head~', '~secretary~') })).toEqual([400, '/card'])
    expect(await at({ card: `${card.slice(0, -1)}${card.endsWith('A') ? 'B' : 'A'}` })).toEqual([400, '/card'])
    expect(await at({ card, node: 'P' })).toEqual([400, '/card'])
    expect(await at({ card: (await open('/v1/nodes/U/contacts?tenant=TWO')).filing.card ?? 'B~head~x' })).toEqual([400, '/card'])
  })
})

describe('the page', () => {
  const page = async (query = '', at = 'U') => {
    const answer = await fetch(`${origin}/v1/nodes/${at}/contacts.html?tenant=ONE${query}`)
    return { html: await answer.text(), headers: answer.headers, status: answer.status }
  }

  test.each(['card', 'a4', 'a3'])('%s has one style sheet, by hash, and asks for nothing else', async (size) => {
    const { html, headers, status } = await page(`&size=${size}`)
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    const style = /<style>(.*)<\/style>/s.exec(html)![1]!
    const hash = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(style))).toString('base64')
    expect(headers.get('content-security-policy')).toBe(`default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`)
    expect(html).not.toMatch(/<script|<link|<img|<iframe|\bstyle=|\bsrc=|@import|url\(|\bon\w+=/i)
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:/)
  })

  test('escapes names, and shows what is public', async () => {
    const { html } = await page()
    expect(html).toContain('胡&lt;示例&gt;')
    expect(html).toContain('href="tel:05398000123"')
    expect(html).not.toContain('<示例>')
    expect(html).toContain('暂缺，由3号楼负责')
    expect(html).toContain('<h1>银雀华府 3号楼 1单元 责任公示牌</h1>')
  })

  test('has a QR code of the link, as a reader sees it', async () => {
    const { filing } = await open()
    const svg = /<svg.*?<\/svg>/s.exec((await page()).html)![0]
    expect(svg).toBe(qrCode(filing.url))
    // Drawn and looked at again, module by module.
    const { modules: { size, data } } = create(filing.url, { errorCorrectionLevel: 'M' })
    const side = size + 8
    const pixels = await sharp(Buffer.from(svg.replace('<svg ', `<svg width="${side * 4}" height="${side * 4}" `))).greyscale().raw().toBuffer()
    const dark = (x: number, y: number) => pixels[(y * 4 + 2) * side * 4 + x * 4 + 2]! < 128
    for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
      const inside = x >= 4 && y >= 4 && x < size + 4 && y < size + 4
      if (dark(x, y) !== (inside && data[(y - 4) * size + x - 4] === 1)) throw new Error(`module ${x},${y}`)
    }
    if (process.env.KEEP_PAGES) for (const of of ['card', 'a4', 'a3']) writeFileSync(join(mkdtempSync(join(tmpdir(), `page-${of}-`)), 'page.html'), (await page(`&size=${of}`)).html)
  })

  test('leads where the tenant says', async () => {
    const chief = await town.person({ at: 'S', can: ['administer'] })
    const say = (filingLink: string | null, who = chief.id) => call(origin, bearer(who), 'PUT', '/v1/contact-settings', { filingLink })
    expect((await open()).filing.url).toMatch(new RegExp(`^${origin}/v1/nodes/U/contacts.html\\?tenant=ONE&card=B~head~`))
    expect((await say('https://h5.example.cn/f?n={node}&c={card}', resident.id)).status).toBe(403)
    expect((await say('javascript:{node}')).status).toBe(400)
    expect((await say('https://h5.example.cn/f?n={node}&c={card}')).status).toBe(200)
    const { filing } = await open()
    expect(filing.url).toBe(`https://h5.example.cn/f?n=U&c=${filing.card}`)
    // Where all boards lead is worth an attack: who changed it, and to where, is on record, or it has not changed.
    const recorded = async () => (await database.owner.query(`SELECT "actorId", details FROM audit_entry WHERE action = 'tenant.changed' ORDER BY id DESC LIMIT 1`)).rows[0]
    expect(await recorded()).toEqual({ actorId: chief.id, details: { filingLink: 'https://h5.example.cn' } })
    await database.owner.query('ALTER TABLE audit_outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID')
    expect((await say('https://evil.example.cn/{node}')).status).toBe(500)
    await database.owner.query('ALTER TABLE audit_outbox DROP CONSTRAINT full_disk')
    database.db.memory.clear()
    expect((await open()).filing.url).toBe(filing.url)
    expect((await say(null)).body).toEqual({ filingLink: null })
    expect((await open()).filing.url).toContain('/contacts.html')
  })

  test('opens what it leads to by itself', async () => {
    const answer = await fetch((await open()).filing.url)
    expect(answer.status).toBe(200)
    // A browser that was led here is told whom to call, and is not led here once more.
    const html = await answer.text()
    expect([html.includes('<svg'), html.includes('请联系上面的人')]).toEqual([false, true])
  })
})

test('who is erased is on it no more', async () => {
  const { rows: [row] } = await database.owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = $1', [head])
  await town.inside(() => eraseSubject(database.db, row!.subjectId))
  expect(headOn(await open())).toMatchObject({ name: null, phone: null })
})
