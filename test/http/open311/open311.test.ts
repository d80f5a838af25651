import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../../src/domain/actor.ts'
import { toGcj02 } from '../../../src/domain/coordinates.ts'
import { buildApp } from '../../../src/http/app.ts'
import { authentication } from '../../../src/http/auth.ts'
import { open311Routes } from '../../../src/http/routes/open311.ts'
import { requestRoutes } from '../../../src/http/routes/requests.ts'
import { details } from '../../../src/service/details.ts'
import { act, file, find } from '../../../src/service/requests.ts'
import { openSubjects } from '../../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../../database.ts'
import { testPlace, type TestPlace } from '../../place.ts'
import { keyring } from '../../processes.ts'
import { geoReport } from './georeport-client.ts'
import { keyOf, putProof } from './town.ts'

/** Open311 GeoReport v2, by a client that knows the specification and nothing of us. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let endpoint: string
let secretary: PersonActor, resident: PersonActor
let own: { key: string; clientId: string }, other: { key: string; clientId: string }
const lines: string[] = []

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { autoAccept: true }, 'ONE')
  await database.owner.query(`UPDATE node SET name = CASE code WHEN 'P' THEN '银雀华府' WHEN 'B' THEN '3号楼' WHEN 'U' THEN '1单元' ELSE name END, lng = CASE code WHEN 'P' THEN 118.34 WHEN 'B' THEN 118.341 END,
    lat = CASE code WHEN 'P' THEN 35.05 WHEN 'B' THEN 35.051 END WHERE "tenantId" = $1`, [town.tenantId])
  ;[secretary, resident] = await Promise.all([town.person({ can: ['view', 'dispatch', 'publish', 'handle'] }), town.person()])
  ;[own, other] = await Promise.all([keyOf(database, town), keyOf(database, town)])
  await putProof(database, town)
  const deps = { db: database.db, keyring, clock: Date.now }
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  app = buildApp({ log, checkAnswers: true, routes: [authentication(deps), requestRoutes(deps), open311Routes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
  endpoint = `${origin}/open311/v2`
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const FORMATS = ['json', 'xml'] as const
/** Of every example of the specification; mySociety's own schema of it takes no fractions either. */
const IN_SECONDS = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})$/
const keyed = (format: 'json' | 'xml' = 'json', { key } = own) => geoReport(endpoint, format, { api_key: key })
const anybody = (format: 'json' | 'xml' = 'json') => geoReport(endpoint, format)
const filed = async (form: Record<string, string>, format: 'json' | 'xml' = 'json') => {
  const { status, all, text } = await keyed(format).file({ service_code: 'corridor-light', address_id: 'U', ...form })
  if (status !== 201) throw new Error(text)
  return all[0]!.service_request_id as string
}
/** On the wall by its filer's consent. */
const onTheWall = (title: string, consents: object = { consents: [{ purpose: 'wall', by: 'self', how: 'app' }] }) => town.inside(async () => {
  const { id, number } = await file(database.db, { item: 'companionship', title: '原话不可示人', description: '我住502，电话13800138000', node: 'U', location: { address: '3号楼502', lng: 118.3412, lat: 35.0512, crs: 'wgs84' }, ...consents }, resident)
  await act(database.db, 'place', id, { wallTitle: title, wallText: '每周两次' }, secretary)
  return number
})

describe.each(FORMATS)('in %s', (format) => {
  test('services, and the definition of one that asks more', async () => {
    const { status, all } = await anybody(format).services()
    expect(status).toBe(200)
    expect(all.map(({ service_code: code, metadata, type }) => [code, String(metadata), type])).toEqual([['companionship', 'false', 'realtime'], ['corridor-light', 'false', 'realtime'], ['residence-proof', 'true', 'realtime']])
    const { all: [definition] } = await anybody(format).definition('residence-proof')
    const attributes = (format === 'json' ? definition!.attributes : definition!.attributes.attribute) as Record<string, any>[]
    expect(attributes.map(({ code, datatype, required, order }) => [String(order), code, datatype, String(required)])).toEqual([
      ['1', 'use', 'singlevaluelist', 'true'], ['2', 'copies', 'number', 'true'], ['3', 'idNumber', 'string', 'false'], ['4', 'papers', 'multivaluelist', 'false'], ['5', 'note', 'text', 'false'],
    ])
    const values = (format === 'json' ? attributes[0]!.values : attributes[0]!.values.value) as object[]
    expect(values).toEqual([{ key: 'work', name: '就业' }, { key: 'school', name: '入学' }])
  })

  test('what is filed is read again by its id, as it was sent', async () => {
    const number = await filed({ description: '楼道灯不亮 <b>&', lat: '35.0512', long: '118.3412', address_string: '3号楼1单元门口', media_url: 'https://example.cn/a.jpg?x=1&y=2', account_id: 'A1' }, format)
    expect(number).toMatch(/^WX\d{8}-\d{6}$/)
    const { status, all } = await keyed(format).request(number)
    expect(status).toBe(200)
    expect(all).toHaveLength(1)
    expect(all[0]).toMatchObject({
      service_request_id: number, status: 'open', status_notes: '已受理', service_code: 'corridor-light', service_name: '楼道灯', description: '楼道灯不亮 <b>&', address: '3号楼1单元门口', address_id: 'U',
      media_url: 'https://example.cn/a.jpg?x=1&y=2',
    })
    expect([Number(all[0]!.lat), Number(all[0]!.long)]).toEqual([35.0512, 118.3412])
    for (const time of ['requested_datetime', 'updated_datetime', 'expected_datetime']) expect(all[0]![time], time).toMatch(IN_SECONDS)
    expect((await keyed(format).requests({ service_request_id: `${number},WX19990101-000001` })).all.map((one) => one.service_request_id)).toEqual([number])
    expect((await keyed(format).token(number)).all).toEqual([{ token: number, service_request_id: number }])
    expect((await keyed(format, other).request(number)).status).toBe(404)
    expect((await anybody(format).request(number)).status).toBe(404)
  })

  test('errors are a list of code and description, with the status of the specification', async () => {
    const refused = async (form: Record<string, string>, api = keyed(format)) => {
      const { status, all } = await api.file(form)
      expect(all.length).toBeGreaterThan(0)
      for (const { code, description } of all) {
        expect(String(code)).toBe(String(status))
        expect(description.length).toBeGreaterThan(0)
      }
      return [status, all.map(({ description }) => description.split(':')[0])]
    }
    const good = { service_code: 'corridor-light', address_id: 'U' }
    expect(await refused(good, anybody(format))).toEqual([403, ['api_key']])
    expect(await refused(good, geoReport(endpoint, format, { api_key: `${own.key}x` }))).toEqual([403, ['api_key']])
    expect(await refused(good, keyed(format, await keyOf(database, town, ['requests:read'])))).toEqual([403, ['api_key']])
    expect(await refused({ address_id: 'U' })).toEqual([400, ['service_code']])
    expect(await refused({ ...good, service_code: 'nothing' })).toEqual([404, ['service_code']])
    expect(await refused({ service_code: 'corridor-light' })).toEqual([400, ['lat']])
    expect(await refused({ ...good, address_id: 'NOWHERE' })).toEqual([400, ['address_id']])
    expect(await refused({ service_code: 'corridor-light', lat: '51.5', long: '-0.12' })).toEqual([400, ['lat']])
    expect(await refused({ ...good, lat: '95', long: '118' })).toEqual([400, ['lat']])
    expect(await refused({ ...good, phone: '12' })).toEqual([400, ['phone']])
    expect(await refused({ ...good, jurisdiction_id: 'NOBODY' })).toEqual([404, ['jurisdiction_id']])
    expect(await refused({ ...good, media_url: 'javascript:alert(1)' })).toEqual([400, ['media_url']])
    expect(await refused({ service_code: 'residence-proof', address_id: 'U', 'attribute[use]': 'travel', 'attribute[extra]': '1', 'attribute[idNumber]': '12' }))
      .toEqual([400, expect.arrayContaining(['attribute[use]', 'attribute[extra]', 'attribute[idNumber]', 'attribute[copies]'])])
    expect((await anybody(format).definition('nothing')).status).toBe(404)
    expect((await anybody(format).request('WX19990101-000001')).all).toEqual([{ code: format === 'json' ? 404 : '404', description: expect.stringContaining('service_request_id') }])
    expect((await anybody(format).requests({ start_date: 'yesterday' })).status).toBe(400)
    expect((await anybody(format).requests({ start_date: '2026-01-01T00:00:00Z', end_date: '2026-11-01T00:00:00Z' })).status).toBe(400)
  })

  test('the public sees what stands on the wall, in the words of the wall, and no more', async () => {
    const shown = await onTheWall('傍晚散步，缺个伴')
    const hidden = await onTheWall('只给认领人', {})
    const { all, text } = await anybody(format).requests()
    const ids = all.map((one) => one.service_request_id)
    expect(ids).toContain(shown)
    expect(ids).not.toContain(hidden)
    expect(all.find((one) => one.service_request_id === shown)).toMatchObject({ description: '傍晚散步，缺个伴\n每周两次', address: '银雀华府', address_id: 'P', status: 'open' })
    for (const secret of ['原话不可示人', '502', '13800138000', '1单元', '118.3412']) expect(text).not.toContain(secret)
    expect((await anybody(format).request(hidden)).status).toBe(404)
    expect((await keyed(format, other).request(hidden)).status).toBe(404)
    // Who takes back his consent is not shown any more, whatever has become of it.
    await town.inside(() => act(database.db, 'consent', shown, { purpose: 'wall', by: 'self', how: 'app', granted: false }, resident))
    expect((await anybody(format).request(shown)).status).toBe(404)
  })
})

test('what was taken down is gone; what was done stays, closed, as long as its filer agrees', async () => {
  const [down, done] = [await onTheWall('下墙的'), await onTheWall('办成的')]
  const member = await town.person({ kinds: ['party_member'] })
  await town.inside(async () => {
    await act(database.db, 'take-down', down, {}, secretary)
    await act(database.db, 'claim', done, {}, member)
    await act(database.db, 'complete', done, { outcome: '陪老人下了棋' }, member)
  })
  expect((await anybody().request(down)).status).toBe(404)
  const { all: [shown], text } = await anybody().request(done)
  expect(shown).toMatchObject({ status: 'closed', status_notes: '已办结待回访', description: '办成的\n每周两次' })
  expect(text).not.toContain('下了棋')
  await town.inside(() => act(database.db, 'consent', done, { purpose: 'wall', by: 'self', how: 'app', granted: false }, resident))
  expect((await anybody().request(done)).status).toBe(404)
})

describe('exactly', () => {
  const xml = async (path: string, init?: RequestInit) => {
    const answer = await fetch(`${endpoint}/${path}`, init)
    return `${answer.status} ${answer.headers.get('content-type')}\n${await answer.text()}`
  }

  test('one of each in XML, which is what comes where no format is asked for', async () => {
    const DECLARED = '200 text/xml; charset=utf-8\n<?xml version="1.0" encoding="utf-8"?>\n'
    const ONE = `<services>
  <service>
    <service_code>companionship</service_code>
    <service_name>陪伴</service_name>
    <description>陪伴</description>
    <metadata>false</metadata>
    <type>realtime</type>
    <keywords>x</keywords>
    <group>x</group>
  </service>
`
    expect((await xml('services')).slice(0, DECLARED.length + ONE.length)).toBe(DECLARED + ONE)
    expect(await xml('services/corridor-light')).toBe(`${DECLARED}<service_definition>
  <service_code>corridor-light</service_code>
  <attributes/>
</service_definition>
`)
    const number = await filed({ description: '灯 & <线>' })
    const [known] = (await keyed().request(number)).all
    expect(await xml(`requests/${number}?api_key=${own.key}`)).toBe(`${DECLARED}<service_requests>
  <request>
    <service_request_id>${number}</service_request_id>
    <status>open</status>
    <status_notes>已受理</status_notes>
    <service_name>楼道灯</service_name>
    <service_code>corridor-light</service_code>
    <description>灯 &amp; &lt;线&gt;</description>
    <agency_responsible>1单元</agency_responsible>
    <service_notice/>
    <requested_datetime>${known!.requested_datetime}</requested_datetime>
    <updated_datetime>${known!.updated_datetime}</updated_datetime>
    <expected_datetime>${known!.expected_datetime}</expected_datetime>
    <address>1单元</address>
    <address_id>U</address_id>
    <zipcode/>
    <lat/>
    <long/>
    <media_url/>
  </request>
</service_requests>
`)
    expect(await xml('requests/WX1', { headers: { 'accept-language': 'en' } })).toBe(`404 text/xml; charset=utf-8
<?xml version="1.0" encoding="utf-8"?>
<errors>
  <error>
    <code>404</code>
    <description>service_request_id: Not found</description>
  </error>
</errors>
`)
    const posted = await xml('requests', { method: 'POST', body: new URLSearchParams({ api_key: own.key, service_code: 'corridor-light', address_id: 'U', account_id: 'A&1' }) })
    expect(posted.replace(/WX\d{8}-\d{6}/, 'WX')).toBe(`201 text/xml; charset=utf-8
<?xml version="1.0" encoding="utf-8"?>
<service_requests>
  <request>
    <service_request_id>WX</service_request_id>
    <service_notice>已收到，将由社区受理</service_notice>
    <account_id>A&amp;1</account_id>
  </request>
</service_requests>
`)
  })

  test('an empty list is an empty root, and one thing is a list in JSON', async () => {
    expect(await xml('requests.xml?service_code=nothing')).toBe('200 text/xml; charset=utf-8\n<?xml version="1.0" encoding="utf-8"?>\n<service_requests/>\n')
    expect(await xml('requests.json?service_code=nothing')).toBe('200 application/json; charset=utf-8\n[]')
    const number = await filed({ description: '一件' })
    expect(JSON.parse((await keyed().request(number)).text)).toHaveLength(1)
  })

  test('what is nowhere, what takes no such method and what no form is are told in this format too', async () => {
    const nowhere = (path: string) => xml(path, { headers: { 'accept-language': 'en' } })
    const told = (status: number, description: string) => `${status} text/xml; charset=utf-8
<?xml version="1.0" encoding="utf-8"?>
<errors>
  <error>
    <code>${status}</code>
    <description>${description}</description>
  </error>
</errors>
`
    for (const path of ['nothing.xml', 'services/a/b', '']) expect(await nowhere(path), path).toBe(told(404, 'There is no such resource'))
    expect(await xml('nothing.json', { headers: { 'accept-language': 'en' } })).toBe('404 application/json; charset=utf-8\n[{"code":404,"description":"There is no such resource"}]')
    expect(await nowhere('requests/%ZZ.xml')).toMatch(/^400 text\/xml; charset=utf-8\n.*<errors>/s)
    expect(await nowhere(`requests/${'x'.repeat(300)}.xml`)).toMatch(/^404 text\/xml; charset=utf-8\n.*<errors>/s)
    const english = { 'accept-language': 'en' }
    expect(await xml('services.xml', { method: 'DELETE', headers: english })).toBe(told(400, 'This URL does not support the method'))
    expect((await fetch(`${endpoint}/requests.xml`, { method: 'PUT', headers: english })).headers.get('allow')).toBe('GET, POST')
    expect(await xml('requests', { method: 'POST', headers: { ...english, 'content-type': 'text/plain' }, body: 'x' })).toMatch(/^400 text\/xml; charset=utf-8\n/)
    expect(await xml('requests', { method: 'POST', headers: { ...english, 'content-type': 'application/x-www-form-urlencoded' }, body: `description=${'x'.repeat(300_000)}` })).toMatch(/^400 text\/xml; charset=utf-8\n/)
  })

  test('discovery names both formats and where they are', async () => {
    for (const format of FORMATS) {
      const { all: [discovery] } = await anybody(format).discovery()
      const [first] = format === 'json' ? discovery!.endpoints : discovery!.endpoints.endpoint
      expect(first.url).toBe(endpoint)
      expect(format === 'json' ? first.formats : first.formats.format).toEqual(['text/xml', 'application/json'])
    }
  })
})

describe('where it is', () => {
  const placeOf = async (form: Record<string, string>) => {
    const { all, text, status } = await keyed().file({ service_code: 'corridor-light', description: String(Math.random()), ...form })
    if (status !== 201) throw new Error(text)
    return (await keyed().request(all[0]!.service_request_id as string)).all[0]!.address_id
  }

  test('by coordinates the nearest place, by words the one they name, by neither the whole, for its staff to put right', async () => {
    expect(await placeOf({ lat: '35.0511', long: '118.3411' })).toBe('B')
    expect(await placeOf({ lat: '35.0499', long: '118.3399' })).toBe('P')
    expect(await placeOf({ address_string: '银雀华府3号楼门口' })).toBe('B')
    expect(await placeOf({ address_string: '不知道在哪' })).toBe('S')
    expect(await placeOf({ address_id: 'U', lat: '35.0499', long: '118.3399' })).toBe('U')
  })

  test('GCJ-02 of a mini-program is kept as WGS84, shown to whoever sees the words, and erased with them', async () => {
    const shifted = toGcj02({ lng: 118.3412, lat: 35.0512 })
    const answer = await fetch(`${origin}/v1/requests`, {
      method: 'POST', headers: { authorization: `Bearer ${own.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ item: 'corridor-light', title: '灯', node: 'U', location: { address: '3号楼', ...shifted, crs: 'gcj02' } }),
    })
    expect(answer.status).toBe(201)
    const { id } = await answer.json() as { id: string }
    const known = await (await fetch(`${origin}/v1/requests/${id}/details`, { headers: { authorization: `Bearer ${own.key}` } })).json()
    expect(known).toEqual({ description: null, form: null, location: { address: '3号楼', lng: expect.closeTo(118.3412, 5), lat: expect.closeTo(35.0512, 5), crs: 'wgs84' } })
    const bad = async (location: object) => (await fetch(`${origin}/v1/requests`, {
      method: 'POST', headers: { authorization: `Bearer ${own.key}`, 'content-type': 'application/json' }, body: JSON.stringify({ item: 'corridor-light', title: '灯', node: 'U', location }),
    })).status
    expect(await Promise.all([{}, { lng: 1, lat: 1 }, { lng: 1, crs: 'wgs84' }, { lng: 181, lat: 1, crs: 'wgs84' }, { address: 'x', crs: 'gcj02' }].map(bad))).toEqual([400, 400, 400, 400, 400])
  })

  test('is searched by box and by distance, as exactly as it may be known', async () => {
    const number = await filed({ description: '在这里', lat: '35.0700', long: '118.3600', address_id: 'U' })
    const ids = async (query: Record<string, string>, api = keyed()) => (await api.requests(query)).all.map((one) => one.service_request_id)
    expect(await ids({ bbox: '118.3595,35.0695,118.3605,35.0705' })).toEqual([number])
    expect(await ids({ lat: '35.0701', long: '118.3601', radius: '50' })).toEqual([number])
    expect(await ids({ lat: '35.0800', long: '118.3601', radius: '50' })).toEqual([])
    expect(await ids({ bbox: '118.3595,35.0695,118.3605,35.0705' }, anybody())).toEqual([])
  })
})

describe('a list', () => {
  test('is by status, service, time and page', async () => {
    const [first, second] = [await filed({ description: '第一件' }), await filed({ description: '第二件' })]
    const ids = async (query: Record<string, string>) => (await keyed().requests(query)).all.map((one) => one.service_request_id as string)
    expect((await ids({})).slice(0, 2)).toEqual([second, first])
    expect(await ids({ page_size: '1', page: '2' })).toEqual([first])
    await town.inside(() => act(database.db, 'withdraw', first, {}, { kind: 'app', clientId: own.clientId }))
    expect(await ids({ status: 'closed' })).toEqual([first])
    expect(await ids({ status: 'open' })).not.toContain(first)
    expect((await ids({ status: 'open,closed' })).slice(0, 2)).toEqual([second, first])
    expect(await ids({ service_code: 'companionship' })).toEqual([])
    const { requested_datetime: at } = (await keyed().request(first)).all[0]!
    // All of the second that was told, and no other.
    const beside = (seconds: number) => `${new Date(Date.parse(at as string) + seconds * 1_000).toISOString().slice(0, 19)}Z`
    expect(await ids({ start_date: at, end_date: at })).toContain(first)
    expect(await ids({ start_date: beside(1), end_date: beside(60) })).not.toContain(first)
    expect(await ids({ start_date: beside(-60), end_date: beside(-1) })).not.toContain(first)
    expect((await ids({ updated_after: at }))).toEqual(expect.arrayContaining([first, second]))
    expect(await ids({ end_date: '2020-01-01T00:00:00Z' })).toEqual([])
    expect(await ids({ updated_after: at, end_date: '2020-01-01T00:00:00Z' })).toEqual([])
  })

  test('takes an empty parameter for none, and what clients write in their own way', async () => {
    const number = await filed({ description: '怎么写都行', lat: '35.0300', long: '118.3000' })
    const ids = async (query: string) => {
      const answer = await fetch(`${endpoint}/requests.json?api_key=${own.key}&${query}`)
      if (answer.status !== 200) throw new Error(`${query}: ${await answer.text()}`)
      return (await answer.json() as { service_request_id: string }[]).map((one) => one.service_request_id)
    }
    const names = ['service_request_id', 'service_code', 'status', 'start_date', 'end_date', 'updated_after', 'updated_before', 'page', 'page_size', 'lat', 'long', 'radius', 'bbox', 'jurisdiction_id']
    for (const name of names) expect(await ids(`${name}=`), name).toContain(number)
    expect(await ids(names.map((name) => `${name}=`).join('&'))).toContain(number)
    for (const query of ['service_code=companionship&service_code=corridor-light', 'service_code=companionship,&service_code=,corridor-light', 'status=OPEN', 'status=closed&status=open', 'start_date=2026-01-01T00:00:00%2B08:00',
      'lat=35.03000000000000114&long=1.183e2', 'bbox=118.29999999999999,35.0299999999999999,%20118.30000000000001,35.0300000000000001']) {
      const found = await ids(query.startsWith('start_date') ? query.replace('2026-01-01', new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)) : query)
      expect(found, query).toContain(number)
    }
    // A plus that was not encoded.
    expect(await ids(`start_date=${new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)}T00:00:00+08:00`)).toContain(number)
    // The ids override all else.
    expect(await ids(`service_request_id=${number}&status=closed&page=7&page_size=1&bbox=1,2,3,4&service_code=companionship&end_date=2020-01-01T00:00:00Z`)).toEqual([number])
    expect(await ids(`service_request_id=${Array.from({ length: 150 }, (_, n) => `WX19990101-${String(n).padStart(6, '0')}`).join()},${number}`)).toEqual([number])
  })

  test('says of what is closed when it was closed, whatever was said of it later', async () => {
    const done = await onTheWall('办完再评价')
    const member = await town.person({ kinds: ['party_member'] })
    await town.inside(async () => {
      await act(database.db, 'claim', done, {}, member)
      await act(database.db, 'complete', done, { outcome: '好了' }, member)
    })
    const { rows: [completed] } = await database.owner.query<{ at: Date }>(`SELECT e.at FROM event e JOIN request r ON r."tenantId" = e."tenantId" AND r.id = e."requestId" WHERE r.number = $1 AND e.verb = 'complete'`, [done])
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await town.inside(() => act(database.db, 'rate', done, { solved: 'solved', satisfaction: 'satisfied' }, resident))
    expect((await anybody().request(done)).all[0]).toMatchObject({ status: 'closed', status_notes: '已结案', updated_datetime: `${completed!.at.toISOString().slice(0, 19)}Z` })
  })
})

describe('who files', () => {
  const personalOf = async (number: string) => {
    const { rows: [{ subject } = { subject: '' }] } = await database.owner.query<{ subject: string }>(
      'SELECT p."subjectId" AS subject FROM request r JOIN person p ON p."tenantId" = r."tenantId" AND p.id = r."beneficiaryId" WHERE r.number = $1', [number])
    return (await town.inside(() => openSubjects(database.db, keyring, [subject]))).get(subject)
  }

  test('is on record as 诉求人, masked like everybody; the same words again are the same request', async () => {
    const form = { service_code: 'corridor-light', address_id: 'U', description: '灯又灭了', first_name: '示例', last_name: '王', phone: '13800138000', device_id: 'D1', email: 'a@example.cn' }
    const [one, two] = await Promise.all([keyed().file(form), keyed('xml').file(form)])
    expect([one.status, two.status]).toEqual([201, 201])
    const number = one.all[0]!.service_request_id as string
    expect(two.all[0]!.service_request_id).toBe(number)
    expect((await keyed().file({ ...form, device_id: 'D2' })).all[0]!.service_request_id).not.toBe(number)
    const request = await town.inside(() => find(database.db, number, secretary))
    expect(request).toMatchObject({ source: 'open311', filer: null, beneficiary: expect.any(String), title: '灯又灭了' })
    const { rows } = await database.owner.query<{ everything: string }>(`SELECT string_agg(t::text, ' ') AS everything FROM text t WHERE "requestId" = (SELECT id FROM request WHERE number = $1)`, [number])
    for (const secret of ['王示例', '13800138000', 'a@example.cn', 'D1']) expect(rows[0]!.everything).not.toContain(secret)
  })

  test('may send the specification’s own example, but for our service', async () => {
    const body = 'api_key=xyz&jurisdiction_id=ONE&service_code=corridor-light&lat=35.0511&long=118.3411&address_string=1234+5th+street&email=smit333%40sfgov.edu&device_id=tt222111&account_id=123456'
      + '&first_name=john&last_name=smith&phone=111111111&description=A+large+sinkhole+is+destroying+the+street'
      + '&media_url=http%3A%2F%2Ffarm3.static.flickr.com%2F2002%2F2212426634_5ed477a060.jpg&attribute[WHISPAWN]=123456&attribute[WHISDORN]=COISL001'
    const answer = await fetch(`${endpoint}/requests.xml`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }, body: body.replace('xyz', own.key) })
    const text = await answer.text()
    expect(answer.status, text).toBe(201)
    const number = /<service_request_id>(WX\d{8}-\d{6})<.*<account_id>123456</s.exec(text)![1]!
    expect((await keyed().request(number)).all[0]).toMatchObject({ description: 'A large sinkhole is destroying the street', media_url: 'http://farm3.static.flickr.com/2002/2212426634_5ed477a060.jpg', address_id: 'B', lat: 35.0511 })
    expect(await personalOf(number)).toMatchObject({ name: 'john smith', phone: '111111111' })
  })

  test('may sign in Latin letters, send several pictures, four thousand characters, and the key in the address', async () => {
    const description = `${'灯'.repeat(3_999)}。`
    const form: [string, string][] = [
      ['service_code', 'corridor-light'], ['address_id', 'U'], ['description', description], ['first_name', 'john'], ['last_name', 'smith'], ['media_url', 'https://example.cn/1.jpg'], ['media_url', 'https://example.cn/2.jpg'],
    ]
    const answer = await fetch(`${endpoint}/requests.json?api_key=${own.key}&jurisdiction_id=ONE`, { method: 'POST', body: new URLSearchParams(form) })
    expect(answer.status, await answer.clone().text()).toBe(201)
    const [{ service_request_id: number }] = await answer.json() as [{ service_request_id: string }]
    const { all: [shown] } = await keyed().request(number)
    expect(shown!.media_url).toBe('https://example.cn/1.jpg')
    expect(shown!.description).toMatch(/^灯{3900,}…\n附图：https:\/\/example\.cn\/2\.jpg$/)
    expect(await personalOf(number)).toMatchObject({ name: 'john smith' })
    expect((await fetch(`${endpoint}/requests.json?jurisdiction_id=NOBODY&api_key=${own.key}`, { method: 'POST', body: new URLSearchParams(form) })).status).toBe(404)
  })

  test('without a sender, two with the same words are two', async () => {
    expect(await filed({ description: '一样的话' })).not.toBe(await filed({ description: '一样的话' }))
  })
})

describe('updates', () => {
  test('tell of every change of state, and comments are verbs of the app', async () => {
    const number = await filed({ description: '灯灭了' })
    const mine = async () => (await keyed().updates()).all.filter((one) => one.service_request_id === number)
    expect((await mine()).map(({ update_id: id, status, description }) => [id, status, description])).toEqual([[`${number}-1`, 'open', '点单'], [`${number}-2`, 'open', '受理']])
    expect((await anybody().updates()).all.filter((one) => one.service_request_id === number)).toEqual([])

    const urged = await keyed('xml').update({ service_request_id: number, update_id: 'F1', status: 'OPEN', description: '还是不亮', updated_datetime: '2026-11-23T09:00:00+08:00' })
    expect([urged.status, urged.all]).toEqual([201, [{ update_id: `${number}-3` }]])
    expect((await keyed().update({ service_request_id: number, update_id: 'F1', status: 'OPEN', description: '还是不亮' })).all).toEqual([{ update_id: `${number}-3` }])
    expect((await town.inside(() => find(database.db, number, secretary))).version).toBe(3)
    expect((await keyed().update({ service_request_id: number, update_id: 'F1', status: 'OPEN', description: '别的话' })).status).toBe(400)

    expect((await keyed('json', other).update({ service_request_id: number, update_id: 'X', status: 'CLOSED' })).status).toBe(404)
    expect((await anybody().update({ service_request_id: number, update_id: 'X', status: 'CLOSED' })).status).toBe(403)
    expect((await keyed().update({ service_request_id: number, update_id: 'F2', status: 'CLOSED', description: '自己换了灯泡' })).status).toBe(201)
    expect((await town.inside(() => find(database.db, number, secretary))).state).toBe('withdrawn')
    expect((await keyed().update({ service_request_id: number, update_id: 'F3', status: 'CLOSED' })).status).toBe(400)
    // Whatever FixMyStreet calls it.
    const [long, over] = [await filed({ description: '长话' }), await filed({ description: '不归我们管' })]
    expect((await keyed().update({ service_request_id: long, update_id: 'F4', status: 'IN_PROGRESS', description: '说'.repeat(3_000), media_url: 'https://example.cn/3.jpg', updated_datetime: '2026-11-23T09:00:00', last_name: '-' })).status).toBe(201)
    const { rows: [kept] } = await database.owner.query<{ body: string }>(`SELECT t.body FROM text t JOIN request r ON r."tenantId" = t."tenantId" AND r.id = t."requestId" WHERE r.number = $1 AND t.field = 'note'`, [long])
    expect(kept!.body).toMatch(/^说{900,}…\n附图：https:\/\/example\.cn\/3\.jpg$/)
    expect((await keyed().update({ service_request_id: over, update_id: 'F5', status: 'NOT_COUNCILS_RESPONSIBILITY' })).status).toBe(201)
    expect((await town.inside(() => find(database.db, over, secretary))).state).toBe('withdrawn')
    // Nor does another hear that there is something that has ended.
    expect((await keyed('json', other).update({ service_request_id: number, update_id: 'Y', status: 'CLOSED' })).status).toBe(404)
    expect((await mine()).at(-1)).toMatchObject({ status: 'closed', description: '撤单' })
  })
})

test('a form comes in as attributes; what is personal is for those who may be shown it', async () => {
  const form: [string, string][] = [
    ['service_code', 'residence-proof'], ['address_id', 'U'], ['attribute[use]', 'school'], ['attribute[copies]', '2'], ['attribute[idNumber]', '11010119900101123X'], ['attribute[papers][]', 'id'],
    ['attribute[papers][]', 'deed'],
  ]
  const { status, all, text } = await keyed().file(form)
  expect(status, text).toBe(201)
  const number = all[0]!.service_request_id as string
  expect((await keyed().request(number)).all[0]).toMatchObject({ status_notes: '待受理' })
  const known = await town.inside(() => details(database.db, keyring, number, { kind: 'app', clientId: own.clientId }))
  expect(known.form).toMatchObject({ item: 'residence-proof', answers: { use: 'school', copies: 2, idNumber: '11010119900101123X', papers: ['id', 'deed'] }, withheld: [] })
})

test('no log line has a key or a word of what was sent', async () => {
  await keyed().requests({ api_key: own.key, bbox: '1,2,3,4' })
  expect(lines.length).toBeGreaterThan(20)
  const all = lines.join('')
  for (const secret of ['ww_live_', own.key, '13800138000', '灯灭了', 'bbox']) expect(all).not.toContain(secret)
})

test.each(['service_code', 'service_request_id', 'jurisdiction_id', 'address_id', 'anything'])('%s with a NUL, once or twice, is refused as everything else is', async (name) => {
  for (const query of [`${name}=%00`, `${name}=%00&${name}=a%00`]) {
    const answer = await app.inject(`/open311/v2/requests.json?${query}`)
    expect([answer.statusCode, answer.json<{ code: number }[]>().map(({ code }) => code)]).toEqual([400, [400]])
  }
})

/** The last: from then on there are two. */
test('where there are several jurisdictions, it is to be said which; a key says it itself', async () => {
  await testPlace(database, {}, 'TWO')
  database.db.memory.clear()
  for (const format of FORMATS) {
    const unsaid = await anybody(format).services()
    expect([unsaid.status, unsaid.all]).toEqual([400, [{ code: format === 'json' ? 400 : '400', description: expect.stringMatching(/^jurisdiction_id: /) }]])
    expect((await geoReport(endpoint, format, { jurisdiction_id: 'ONE' }).services()).all.length).toBe(3)
    expect((await geoReport(endpoint, format, { jurisdiction_id: 'TWO' }).services()).all.length).toBe(2)
    expect((await geoReport(endpoint, format, { jurisdiction_id: 'THREE' }).services()).status).toBe(404)
    expect((await keyed(format).services()).all.length).toBe(3)
    expect((await geoReport(endpoint, format, { api_key: own.key, jurisdiction_id: 'TWO' }).services()).status).toBe(404)
  }
})
