import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { phonePhoto } from '../pictures.ts'
import { agreed, at, dueAt, instant, openTown, told, type Plan, type Seen, type Town } from './town.ts'

/**
 * 《石竹街道金辉华府小区打造“580”（我帮邻）党建品牌》, 名辉社区: “邻+”智慧云（在线填写表格、拍照上传、后台审核）, 线下跑腿代办、办事最多跑一趟,
 * “邻+”圆梦池, “邻+”恳谈日、“小区事，大家议”, “邻+”同盟会.
 */

const COMMUNITY = '350181006006'

const MINGHUI = {
  code: '350181006', name: '石竹街道', wallLevel: 'compound',
  // 以楼宇为网格单位
  levels: [['street', '街道'], ['community', '社区'], ['compound', '小区'], ['building', '楼宇网格']],
  nodes: [
    { parent: '350181006', code: COMMUNITY, name: '名辉社区', level: 'community' },
    { parent: COMMUNITY, code: 'JHHF', name: '金辉华府', level: 'compound' },
    { parent: 'JHHF', code: 'JHHF-08', name: '8号楼', level: 'building' },
  ],
  roles: [
    { code: 'reviewer', name: '智慧云后台', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'approve'] },
    { code: 'runner', name: '跑腿代办员', capabilities: ['handle'] },
  ],
  policies: {
    standard: { limits: { accept: '1wd', resubmit: '5wd', complete: '10wd', review: '60d' } },
    wish: { limits: { complete: '20wd', claim: '30d' }, claims: { perClaimer: 10 } },
  },
  items: {
    errand: { policy: 'standard', mode: 'dispatch', wall: false },
    'small-gift': { name: '圆梦物资', policy: 'wish' },
    companionship: { name: '上门问诊', policy: 'wish' },
    parking: { policy: 'standard' },
  },
  organisations: {
    'JHHF-DZB': { name: '金辉华府小区党支部', kind: 'branch', node: 'JHHF' },
    'JHHF-WY': { name: '金辉物业', kind: 'property', node: 'JHHF' },
    'JHHF-YWH': { name: '红色业委会', kind: 'owners_committee', node: 'JHHF' },
    // 10多家单位
    WSZX: { name: '石竹卫生服务中心', kind: 'alliance_unit', node: '350181006' },
    XUEYUAN: { name: '福清市实验儿童学园', kind: 'alliance_unit', node: '350181006' },
  },
  people: {
    resident: {}, neighbour: {},
    // 楼栋长（网格长）: need not be a party member
    buildingHead: { at: ['building_head@JHHF-08'] },
    reviewer: { at: ['reviewer@JHHF'] },
    communitySecretary: { at: ['branch_secretary@350181006006'] },
    runner: { login: 'PT01', at: ['runner@JHHF'] },
    caller: { at: ['caller@350181006'] },
    member: { ties: ['party_member@JHHF-DZB'] },
    volunteer: { ties: ['volunteer@JHHF-DZB'] },
    kindPerson: { ties: ['individual@JHHF-DZB'] },
    chair: { in: ['owners_chair@JHHF-YWH'] },
    manager: { in: ['property_manager@JHHF-WY'] },
    healthLiaison: { in: ['unit_liaison@WSZX'], ties: ['dual_unit@WSZX'] },
    doctor: { login: 'YS09', ties: ['dual_unit@WSZX'] },
    teacher: { login: 'LS11', ties: ['dual_unit@XUEYUAN'] },
  },
} as const satisfies Plan

let town: Town<typeof MINGHUI>
let people: Town<typeof MINGHUI>['people']

beforeAll(async () => {
  town = await openTown(MINGHUI, '2026-11-23T09:00') // a Monday
  ;({ people } = town)
})
afterAll(() => town.close())

const verbs = async (request: Seen) => (await town.history(request)).map(({ verb }) => verb)
const clock = (request: Seen) => request.deadlines.find(({ step }) => step === 'complete')!

describe('“线上办理问询和线下跑腿代办‘双服务’”', () => {
  let errand: Seen

  test('在线上填写表格、拍照上传', async () => {
    const photo = await people.resident.photographs(await phonePhoto({ width: 64, height: 48 }))
    errand = await people.resident.files({ item: 'errand', title: '代办老年优待证', description: '母亲行动不便。', node: 'JHHF-08', source: 'app', attachments: [photo] })
    expect(errand).toMatchObject({ kind: 'errand', state: 'filed' })
    expect(dueAt(errand, 'complete')).toBe('2026-12-07T18')
    expect((await people.reviewer.get(`/v1/requests/${errand.number}/attachments`)).data).toEqual([expect.objectContaining({ id: photo, kind: 'photo' })])
    await people.neighbour.cannotSee(errand)
  })

  test('后台审核：材料不全，退回补正，时限停走', async () => {
    const returned = await people.reviewer.does('return', errand, { reason: 'incomplete', note: '户口本首页看不清' })
    expect(returned).toMatchObject({ state: 'returned' })
    expect(clock(returned)).toMatchObject({ standing: true, overdue: false })
    expect(dueAt(returned, 'resubmit')).toBe('2026-11-30T18')
    expect(await people.resident.hears(errand)).toEqual(told('return'))
    expect((await town.history(errand)).at(-1)!.notes).toEqual([{ field: 'note', body: '户口本首页看不清' }])
  })

  test('隔了三个工作日补正，时限顺延三个工作日，原时限保留', async () => {
    await town.clock('2026-11-26T09:00')
    const page = await people.resident.photographs(await phonePhoto({ width: 64, height: 48 }))
    const again = await people.resident.does('resubmit', errand, { attachments: [page], note: '重拍了' })
    expect(again).toMatchObject({ state: 'filed' })
    expect(clock(again)).toMatchObject({ standing: false, originalDueAt: instant('2026-12-07T18:00') })
    expect(dueAt(again, 'complete')).toBe('2026-12-10T18')
    await people.reviewer.does('accept', errand)
  })

  test('线下跑腿：收下的证件要当面交还，办事最多跑一趟', async () => {
    await people.reviewer.does('dispatch', errand, { to: 'PT01' })
    await people.runner.does('sign', errand)
    const took = await people.runner.does('record', errand, {
      authorisation: 'paper', papers: [
        { paper: 'id_card', direction: 'received' }, { paper: 'household_register', direction: 'received' }, { paper: 'photo', direction: 'received', count: 2 },
      ],
    })
    expect(took).toMatchObject({ papersOut: 4, trips: 0 })
    expect(took.allowed).not.toContain('complete')
    expect(await people.runner.mayNot('complete', errand, { outcome: '办好了' })).toMatchObject({ status: 409, code: 'papers-out', papersOut: 4 })
    await people.runner.does('record', errand, { trip: true, papers: [{ paper: 'photo', direction: 'returned', count: 2 }], note: '窗口没有用照片' })
    expect(await people.runner.mayNot('record', errand, { papers: [{ paper: 'id_card', direction: 'returned', count: 3 }] }))
      .toMatchObject({ status: 400, ...at('/papers/0', 'not-received') })
    await people.runner.does('record', errand, { papers: [{ paper: 'id_card', direction: 'returned' }, { paper: 'household_register', direction: 'returned' }] })
    const done = await people.runner.does('complete', errand, { outcome: '优待证已送到家。' })
    expect(done).toMatchObject({ state: 'completed', trips: 1, papersOut: 0 })
    await people.resident.does('rate', errand, { solved: 'solved', satisfaction: 'satisfied', comment: '一趟就办好了' })
    expect(await verbs(errand)).toEqual(['file', 'return', 'resubmit', 'accept', 'dispatch', 'sign', 'record', 'record', 'record', 'complete', 'rate'])
  })
})

describe('“邻+”圆梦池', () => {
  let dream: Seen

  test('一个心愿要十份，大家凑：各认几份，认满才办', async () => {
    dream = await people.buildingHead.files({
      item: 'small-gift', title: '八位独居老人缺过冬被褥', node: 'JHHF-08', source: 'visit', filer: { name: '林示例' }, consents: agreed('oral'),
    })
    await people.reviewer.does('accept', dream)
    await people.reviewer.does('place', dream, { slots: 10, wallTitle: '十床冬被', wallText: '一床也是心意。' })
    expect(await people.member.does('claim', dream, { quantity: 3 })).toMatchObject({ state: 'open', slotsTaken: 3 })
    expect(await people.volunteer.does('claim', dream, { quantity: 2 })).toMatchObject({ state: 'open', slotsTaken: 5 })
    expect(await people.member.mayNot('claim', dream)).toMatchObject({ status: 409, code: 'already-claimed' })
    expect(await people.kindPerson.mayNot('claim', dream, { quantity: 6 })).toMatchObject({ status: 409, code: 'slots-taken', free: 5 })
    expect((await town.wall()).find(({ number }) => number === dream.number)).toMatchObject({ slots: 10, slotsTaken: 5 })
  })

  test('有人改了主意，份数放回池里；后来的人补上，圆梦', async () => {
    expect(await people.volunteer.does('release', dream, { reason: 'no_ability' })).toMatchObject({ state: 'open', slotsTaken: 3 })
    const full = await people.kindPerson.does('claim', dream, { quantity: 7 })
    expect(full).toMatchObject({ state: 'in_progress', slotsTaken: 10 })
    const shares = (await people.reviewer.sees(dream)).assignees.map(({ person, quantity }) => [person, quantity])
    expect(shares).toEqual([[people.member.id, 3], [people.kindPerson.id, 7]])
    expect(await town.wall()).toEqual([])
    expect(await people.member.does('complete', dream, { outcome: '十床被子都送到了。' })).toMatchObject({ state: 'completed', result: 'realised' })
    // who has done it does not ask how it was done
    await people.caller.does('follow-up', dream, { solved: 'solved', satisfaction: 'satisfied' })
    expect((await people.kindPerson.hears(dream)).at(-1)).toBe('followed_up')
  })
})

describe('“小区事，大家议”', () => {
  let matter: Seen

  test('反映最强烈的问题提到“邻+”恳谈日，议不完的挂账到下一次，时限停走', async () => {
    matter = await people.resident.files({ item: 'parking', title: '地面停车位怎么分', node: 'JHHF' })
    await people.reviewer.does('accept', matter)
    expect(await people.reviewer.mayNot('deliberate', matter, { decision: 'do', minutes: '同意', until: instant('2026-12-11T19:00') }))
      .toMatchObject({ status: 400, ...at('/until') })
    const talked = await people.reviewer.does('deliberate', matter, {
      decision: 'continue', minutes: '业委会、楼栋长、物业公司、党员代表到会。两套方案，下次表决。', participants: 26, until: instant('2026-12-11T19:00'),
    })
    expect(talked).toMatchObject({ state: 'parked' })
    expect([dueAt(talked, 'review'), clock(talked).standing]).toEqual(['2026-12-11T19', true])
    expect((await town.history(matter)).at(-1))
      .toMatchObject({ verb: 'deliberate', data: { decision: 'continue', participants: 26 }, notes: [expect.objectContaining({ field: 'minutes' })] })
    expect((await people.resident.hears(matter)).at(-1)).toBe('deliberated')
  })

  test('下次恳谈日一到就回到台面上，表决通过，由业委会主办、物业协办', async () => {
    await town.clock('2026-12-11T19:00')
    expect((await town.history(matter)).slice(-2))
      .toMatchObject([{ verb: 'remind', data: { step: 'review', tell: ['approve'] } }, { verb: 'unpark', state: 'accepted', data: { reason: 'review' } }])
    expect((await people.reviewer.hears(matter)).slice(-2)).toEqual(told('remind', 'unpark'))
    const decided = await people.reviewer.does('deliberate', matter, { decision: 'do', minutes: '按登记先后轮换，表决通过。', participants: 31 })
    expect(decided).toMatchObject({ state: 'accepted' })
    // eleven workdays have stood still
    expect(clock(decided)).toMatchObject({ standing: false, originalDueAt: instant('2026-12-10T18:00') })
    expect(dueAt(decided, 'complete')).toBe('2026-12-25T18')
    await people.reviewer.does('dispatch', matter, { to: 'JHHF-YWH' })
    await people.chair.does('sign', matter)
    await people.chair.does('add-co', matter, { to: 'JHHF-WY', limit: '3wd' })
    await people.manager.does('co-done', matter, { note: '车位线已重新划好' })
    expect(await people.chair.does('complete', matter, { outcome: '车位轮换办法已公示。' })).toMatchObject({ state: 'completed', resolvedAtLevel: 'compound' })
  })
})

describe('“邻+”同盟会', () => {
  test('同盟单位认领，再指定由谁去；去的人办结', async () => {
    const visit = await people.buildingHead.files({
      item: 'companionship', title: '老人出不了门量血压', node: 'JHHF-08', source: 'visit', targetGroup: 'elderly', filer: { name: '邱示例' }, consents: agreed('oral'),
    })
    await people.reviewer.does('accept', visit)
    await people.reviewer.does('place', visit, { wallTitle: '上门量血压', scope: '350181006' })
    const taken = await people.healthLiaison.does('claim', visit, { organisation: 'WSZX' })
    expect(taken.assignees).toEqual([expect.objectContaining({ via: 'claim', person: null, organisation: expect.any(String), goes: null })])
    expect(await people.healthLiaison.mayNot('assign', visit, { to: 'LS11' })).toMatchObject({ status: 422, code: 'target-unknown' })
    await people.healthLiaison.does('assign', visit, { to: 'YS09' })
    expect((await people.doctor.hears(visit)).at(-1)).toBe('assigned')
    expect(await people.teacher.sees(visit)).toMatchObject({ title: '上门量血压', node: { code: 'JHHF' }, targetGroup: null, assignees: [], allowed: [] })
    await people.doctor.does('respond', visit, { note: '下午三点到' })
    expect(await people.doctor.does('complete', visit, { outcome: '已量血压，建议复诊。' })).toMatchObject({ state: 'completed' })
  })
})
