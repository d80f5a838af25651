import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agreed, at, dueAt, hour, instant, openTown, told, type Plan, type Seen, type Town } from './town.ts'

/**
 * 《台儿庄“楼栋微自治”打通服务群众最后“一厘米”》, 运河街道: “业主点单+楼栋党小组（楼栋长）派单+社区工作者（志愿者）接单”, 在规定时限内帮助
 * 群众解决; “社区党组织—楼栋党小组—业主委员会（物业公司）—楼栋长”四级架构; “小事不出楼栋，大事不出小区”.
 */

const STREET = '370405001'
const COMMUNITY = '370405001004'

const TAIERZHUANG = {
  code: STREET, name: '运河街道', wallLevel: 'compound',
  levels: [['street', '街道'], ['community', '社区'], ['compound', '小区'], ['building', '楼栋']],
  nodes: [
    { parent: STREET, code: COMMUNITY, name: '繁荣街社区', level: 'community' },
    { parent: COMMUNITY, code: 'LQW', name: '兰祺湾小区', level: 'compound' },
    { parent: 'LQW', code: 'LQW-06', name: '6号楼', level: 'building' },
    { parent: 'LQW', code: 'LQW-07', name: '7号楼', level: 'building' },
  ],
  roles: [
    { code: 'building_head', name: '楼栋长', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'handle', 'supervise'] },
    { code: 'grid_worker', name: '网格员', capabilities: ['view', 'file_for', 'handle'] },
    { code: 'compound_head', name: '小区党支部书记', capabilities: ['view', 'dispatch', 'publish', 'approve', 'supervise'] },
  ],
  policies: {
    auto: {
      autoAccept: true,
      limits: { place: '4wh', sign: '4wh', respond: '1wd', complete: '3wd', co: '2wd', claim: '20wd', lease: '10wd' },
      reminders: [], stepReminders: { sign: [{ before: '1wh' }] }, rungEvery: '4wh',
    },
  },
  items: {
    elevator: { policy: 'auto' }, parking: { policy: 'auto' },
    'environment-cleaning': { name: '楼道堆物清理', policy: 'auto', mode: 'pool' },
  },
  organisations: {
    'LQW-06-XZ': { name: '6号楼党小组', kind: 'party_group', node: 'LQW-06' },
    'LQW-YWH': { name: '兰祺湾业主委员会', kind: 'owners_committee', node: 'LQW' },
    'LQW-WY': { name: '兰祺湾物业公司', kind: 'property', node: 'LQW' },
    SWJ: { name: '水务局（双报到单位）', kind: 'dual_unit', node: STREET },
  },
  people: {
    owner: {}, neighbour: {},
    headOf6: { at: ['building_head@LQW-06'] },
    // 7号楼 has no head
    compoundSecretary: { at: ['compound_head@LQW'] },
    communitySecretary: { at: ['branch_secretary@370405001004'] },
    streetChief: { at: ['duty_chief@370405001'] },
    gridWorker: { login: 'WG06', at: ['grid_worker@LQW-06'] },
    gridWorker7: { login: 'WG07', at: ['grid_worker@LQW-07'] },
    communityWorker: { login: 'SG01', at: ['community_worker@370405001004'] },
    // 楼栋能人
    painter: { login: 'NR01', ties: ['volunteer@LQW-06-XZ'] },
    volunteer: { ties: ['volunteer@LQW-06-XZ'] },
    partyMember: { ties: ['party_member@LQW-06-XZ'] },
    manager: { in: ['property_manager@LQW-WY'] },
    chair: { in: ['owners_chair@LQW-YWH'] },
    liaison: { login: 'SW01', in: ['unit_liaison@SWJ'], ties: ['dual_unit@SWJ'] },
    mediator: { login: 'TJ01', at: ['mediator@LQW'] },
    caller: { at: ['caller@370405001'] },
  },
} as const satisfies Plan

let town: Town<typeof TAIERZHUANG>
let people: Town<typeof TAIERZHUANG>['people']

beforeAll(async () => {
  town = await openTown(TAIERZHUANG, '2026-11-23T09:00') // a Monday
  ;({ people } = town)
})
afterAll(() => town.close())

const verbs = async (request: Seen) => (await town.history(request)).map(({ verb }) => verb)
const rungs = async (request: Seen) => (await town.history(request)).filter(({ verb }) => verb === 'escalate')
  .map(({ data }) => [data.step, data.level, hour(data.logicalAt)])

describe('“业主点单+楼栋党小组（楼栋长）派单+社区工作者（志愿者）接单”', () => {
  test('业主点单即受理；楼栋长派给楼里的能人，当天办好：小事不出楼栋', async () => {
    const flyers = await people.owner.files({ item: 'flyer-removal', title: '单元门上贴满小广告', node: 'LQW-06' })
    expect(flyers).toMatchObject({ state: 'accepted', version: 2 })
    expect([await people.headOf6.hears(flyers), await people.compoundSecretary.hears(flyers)]).toEqual([told('file'), []])
    const sent = await people.headOf6.does('dispatch', flyers, { to: 'NR01' })
    expect([dueAt(sent, 'sign'), dueAt(sent, 'complete')]).toEqual(['2026-11-23T15', '2026-11-26T18'])
    expect(await people.painter.hears(flyers)).toEqual(told('dispatch'))
    await people.painter.does('sign', flyers)
    await people.painter.does('complete', flyers, { outcome: '清理干净，补了一层漆。' })
    expect(await people.owner.does('rate', flyers, { solved: 'solved', satisfaction: 'satisfied' }))
      .toMatchObject({ state: 'closed', resolvedAtLevel: 'building' })
    expect(await verbs(flyers)).toEqual(['file', 'accept', 'dispatch', 'sign', 'complete', 'rate'])
  })

  test('楼里办不了的派给社区工作者，记为社区解决', async () => {
    const light = await people.owner.files({ item: 'corridor-light', title: '五楼灯不亮', node: 'LQW-06' })
    await people.headOf6.does('dispatch', light, { to: 'SG01' })
    await people.communityWorker.does('sign', light)
    await people.communityWorker.does('respond', light, { note: '下午来看' })
    expect(await people.communityWorker.does('complete', light, { outcome: '换了灯头' })).toMatchObject({ resolvedAtLevel: 'community' })
  })

  test('“敲门问需”：社区工作者上门时当场办了，一次提交就是点单、受理、办结', async () => {
    const door = await people.communityWorker.files({
      item: 'corridor-light', title: '老人家里灯泡坏了', node: 'LQW-07', source: 'visit', collectedAt: instant('2026-11-23T08:30'), filer: { name: '贾示例', door: '702' },
      resolvedOnSpot: { outcome: '当场换好' },
    })
    expect(door)
      .toMatchObject({ state: 'completed', onTheSpot: true, version: 3, firstContact: people.communityWorker.id, result: 'realised', resolvedAtLevel: 'building' })
    expect(await verbs(door)).toEqual(['file', 'accept', 'complete'])
    expect((await town.history(door)).map(({ at }) => at)).toEqual(Array.from({ length: 3 }, () => door.filedAt))
    expect(await people.caller.does('follow-up', door, { solved: 'solved', satisfaction: 'satisfied' })).toMatchObject({ state: 'closed' })
  })
})

describe('“并在规定时限内帮助群众解决”', () => {
  let late: Seen, headless: Seen

  test('网格员没有按时签收：督办从楼栋长、小区、社区一级一级到街道，承办人不变', async () => {
    late = await people.owner.files({ item: 'elevator', title: '电梯轿厢抖动', node: 'LQW-06' })
    await people.headOf6.does('dispatch', late, { to: 'WG06' })
    headless = await people.neighbour.files({ item: 'elevator', title: '电梯按键失灵', node: 'LQW-07' })
    await people.compoundSecretary.does('dispatch', headless, { to: 'WG07' })
    await town.clock('2026-11-23T14:01')
    expect((await people.gridWorker.hears(late))).toEqual(told('dispatch', 'remind'))
    await town.clock('2026-11-23T15:01')
    expect(await rungs(late)).toEqual([['sign', 'building', '2026-11-23T15']])
    expect((await people.headOf6.hears(late))).toEqual(told('file', 'remind', 'escalate'))
    // and then two days without a worker
    await town.clock('2026-11-25T11:01')
    expect(await rungs(late)).toEqual([
      ['sign', 'building', '2026-11-23T15'], ['sign', 'compound', '2026-11-24T10'], ['sign', 'community', '2026-11-24T16'], ['sign', 'street', '2026-11-25T11'],
    ])
    expect(await Promise.all([people.headOf6, people.compoundSecretary, people.communitySecretary, people.streetChief].map((who) => who.hears(late)))).toEqual([
      told('file', 'remind', 'escalate', 'escalate', 'escalate', 'escalate'), told('escalate'), told('escalate'), told('escalate'),
    ])
    expect(await people.owner.sees(late)).toMatchObject({ state: 'dispatched', assignees: [expect.objectContaining({ person: people.gridWorker.id })] })
    expect((await people.gridWorker.sees(late)).allowed).toContain('sign')
  })

  test('7号楼没有楼栋长，这一级空着就跳过去，并且记下', async () => {
    const [first] = (await town.history(headless)).filter(({ verb }) => verb === 'escalate')
    const building = (await people.compoundSecretary.sees(headless)).node!.id
    expect(first!.data).toMatchObject({ level: 'compound', skipped: [building], vacant: [building] })
    expect(await rungs(headless)).toEqual([['sign', 'compound', '2026-11-23T15'], ['sign', 'community', '2026-11-24T10'], ['sign', 'street', '2026-11-24T16']])
  })

  test('街道到顶了，每个工作日提醒一次', async () => {
    expect(await verbs(headless)).toEqual(['file', 'accept', 'dispatch', 'remind', 'escalate', 'escalate', 'escalate', 'remind'])
    await town.clock('2026-11-26T18:01')
    const top = (await town.history(headless)).filter(({ verb, data }) => verb === 'remind' && data.top && data.step === 'sign')
    expect(top.map(({ data }) => hour(data.logicalAt))).toEqual(['2026-11-25T11', '2026-11-26T18'])
  })

  test('上级督办的改派：签收时限重新起算，居民的时限照走；签收了，督办解除', async () => {
    const before = (await people.owner.sees(late)).deadlines.find(({ step }) => step === 'complete')!
    const resent = await people.compoundSecretary.does('redispatch', late, { to: 'LQW-WY', note: '请物业维保单位处理' })
    expect(dueAt(resent, 'sign')).toBe('2026-11-27T15')
    expect(resent.deadlines.find(({ step }) => step === 'complete')).toMatchObject({ dueAt: before.dueAt, originalDueAt: before.originalDueAt })
    expect((await people.gridWorker.hears(late)).at(-1)).toBe('redispatched')
    await people.manager.does('sign', late)
    expect((await people.manager.sees(late)).deadlines.map(({ step }) => step).sort()).toEqual(['complete', 'respond'])
  })

  test('到期以后不能再申请延期；到期之前的，要上一级同意', async () => {
    expect(await people.manager.mayNot('ask-extension', late, { limit: '3wd', reason: '等配件' })).toMatchObject({ status: 409, code: 'too-late' })
    const parking = await people.owner.files({ item: 'parking', title: '车位线看不清', node: 'LQW' })
    await people.compoundSecretary.does('dispatch', parking, { to: 'LQW-WY' })
    await people.manager.does('sign', parking)
    expect(dueAt(parking, 'complete')).toBe('2026-12-01T18')
    const asked = await people.manager.does('ask-extension', parking, { limit: '3wd', reason: '雨天不能划线' })
    expect(asked.asks).toEqual([expect.objectContaining({ kind: 'extension', status: 'open', organisation: expect.any(String) })])
    // one level up, and they alone are told
    expect(await people.compoundSecretary.mayNot('grant-extension', parking)).toMatchObject({ status: 403, code: 'level-too-low' })
    expect((await people.compoundSecretary.hears(parking))).not.toContain('extension_asked')
    expect((await people.communitySecretary.hears(parking)).at(-1)).toBe('extension_asked')
    const granted = await people.communitySecretary.does('grant-extension', parking, { note: '天晴即做' })
    expect(granted.deadlines.find(({ step }) => step === 'complete')).toMatchObject({ originalDueAt: instant('2026-12-01T18:00'), overdue: false })
    expect(dueAt(granted, 'complete')).toBe('2026-12-04T18')
    expect((await people.owner.hears(parking)).at(-1)).toBe('extension_granted')
  })
})

describe('“四级架构”，街道、社区、社区工作者、志愿服务队伍、双报到单位联动', () => {
  test('物业主办，业委会、双报到单位协办，各有各的时限；哪家迟了督办哪家', async () => {
    const garage = await people.owner.files({ item: 'environment-cleaning', title: '地库进水', node: 'LQW' })
    await people.compoundSecretary.does('dispatch', garage, { to: 'LQW-WY' })
    await people.manager.does('sign', garage)
    await people.manager.does('respond', garage, { note: '水泵已到' })
    await people.manager.does('add-co', garage, { to: 'LQW-YWH', limit: '3wd', note: '请召集业主' })
    const both = await people.compoundSecretary.does('add-co', garage, { to: 'SWJ', limit: '1wd', note: '请支援水泵' })
    expect(both.coHandlers.map(({ organisation, dueAt: at }) => [typeof organisation, hour(at!)]))
      .toEqual([['string', '2026-12-01T18'], ['string', '2026-11-27T18']])
    expect(await people.manager.mayNot('add-co', garage, { to: 'SWJ' })).toMatchObject({ status: 400, ...at('/to', 'already-in') })
    // each hears that he is asked, and not who else is
    expect([await people.chair.hears(garage), await people.liaison.hears(garage)]).toEqual([told('add-co'), told('add-co')])
    await people.chair.does('co-done', garage, { note: '已挪走车辆' })
    await town.clock('2026-11-27T18:01')
    expect(await rungs(garage)).toEqual([['co', 'street', '2026-11-27T18']])
    expect((await people.streetChief.hears(garage)).at(-1)).toBe('escalated')
    expect((await people.manager.sees(garage)).deadlines.find(({ step }) => step === 'complete')).toMatchObject({ overdue: false })
    await people.liaison.does('assign', garage, { to: 'SW01' })
    await people.liaison.does('co-done', garage, { note: '抽干了' })
    expect((await people.manager.does('complete', garage, { outcome: '地库已清理。' })).state).toBe('completed')
    // 大事不出小区, but the street's unit had a hand in it only as a helper
    expect((await people.owner.sees(garage)).resolvedAtLevel).toBe('compound')
  })
})

describe('“在各小区组建调解室、调解服务队”', () => {
  test('物管纠纷由调解员办，被反映的物业看不到，任何时候都不上墙', async () => {
    const dispute = await people.owner.files({ item: 'mediation', title: '物业费和停水的纠纷', node: 'LQW-06', respondent: 'LQW-WY' })
    for (const outsider of [people.manager, people.gridWorker, people.neighbour, people.caller]) await outsider.cannotSee(dispute)
    await people.headOf6.does('accept', dispute)
    expect(await people.headOf6.mayNot('place', dispute)).toMatchObject({ status: 409, code: 'not-for-the-wall' })
    await people.headOf6.does('dispatch', dispute, { to: 'TJ01' })
    await people.mediator.does('sign', dispute)
    await people.mediator.does('record', dispute, { session: true, agreement: true })
    expect(await people.mediator.does('complete', dispute, { outcome: '双方签字。' })).toMatchObject({ state: 'completed', sessions: 1 })
    await people.manager.cannotSee(dispute)
    expect(await town.public()).not.toMatch(/纠纷|mediation/)
  })
})

describe('“组织业主开展楼道堆物清理、墙面粉刷、小广告清理”', () => {
  test('六个人的活，四个人报了就干：没满也开工，办结都记上', async () => {
    const work = await people.headOf6.files({ item: 'environment-cleaning', title: '六号楼堆物', node: 'LQW-06', consents: agreed('oral') })
    expect(work.state).toBe('accepted')
    await people.headOf6.does('place', work, { slots: 6, wallTitle: '一起清楼道', wallText: '周六上午，手套已备。' })
    await people.painter.does('claim', work)
    await people.volunteer.does('claim', work, { quantity: 2 })
    await people.partyMember.does('claim', work)
    expect((await town.wall()).find(({ number }) => number === work.number)).toMatchObject({ slots: 6, slotsTaken: 4 })
    const begun = await people.headOf6.does('start', work, { note: '天气好，先干' })
    expect(begun).toMatchObject({ state: 'in_progress', slots: 6, slotsTaken: 4 })
    expect((await people.volunteer.hears(work)).at(-1)).toBe('started')
    await people.painter.does('complete', work, { outcome: '清运三车，墙面粉刷一新。', beneficiaries: 48 })
    const done = await people.headOf6.sees(work)
    expect(done).toMatchObject({ state: 'completed', beneficiaries: 48, resolvedAtLevel: 'building' })
    // none of those who did it may ask how it was done
    expect((await people.partyMember.hears(work))).toEqual(told('start'))
  })
})
