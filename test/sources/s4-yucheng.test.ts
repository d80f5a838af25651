import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agreed, at, dueAt, hour, instant, openTown, told, type Plan, type Seen, type Town } from './town.ts'

/**
 * 《党建点亮小区幸福，治理家园》, 雅安市雨城区: “连心卡”上印有小区党支部书记、业委会主任和物业经理的电话; 在联包帮单位、东城街道办、上坝路社区的
 * 帮助下拆除私搭乱建; 大院党支部、业委会、自管委; 党员志愿服务领路、邻里互助服务搭台、专业社会服务支撑.
 */

const STREET = '511802001'
const COMMUNITY = '511802001006'

const YUCHENG = {
  code: STREET, name: '东城街道', wallLevel: 'courtyard',
  // 将党组织建到大院、建到楼栋
  levels: [['street', '街道'], ['community', '社区'], ['courtyard', '大院'], ['building', '楼栋']],
  nodes: [
    { parent: STREET, code: COMMUNITY, name: '上坝路社区', level: 'community' },
    { parent: COMMUNITY, code: 'LZ126', name: '绿洲路126号大院', level: 'courtyard' },
    { parent: 'LZ126', code: 'LZ126-2', name: '2栋', level: 'building' },
    { parent: COMMUNITY, code: 'TG', name: '通工小区', level: 'courtyard' },
  ],
  policies: {
    standard: { limits: { complete: '10wd', report_in: '1wd', review: '90d', follow_up: '2wd' }, reminders: [], redoMax: 1, unreachedMax: 2, rungEvery: '1wd' },
    wish: {
      limits: { claim: '5wd', wave: '1wd', lease: '2wd', complete: '30wd' }, reminders: [],
      claims: { waves: [['party_member'], ['volunteer', 'individual'], ['enterprise', 'dual_unit']] },
    },
  },
  items: {
    'small-repair': { name: '楼道粉刷', policy: 'wish' },
  },
  organisations: {
    'LZ126-DZB': { name: '绿洲路126号大院党支部', kind: 'branch', node: 'LZ126' },
    'LZ126-YWH': { name: '绿洲路126号大院业委会', kind: 'owners_committee', node: 'LZ126' },
    'TG-ZGW': { name: '通工小区自管委', kind: 'self_mgmt', node: 'TG' },
    LBDW: { name: '联包帮单位', kind: 'dual_unit', node: COMMUNITY },
    ZFD: { name: '综合行政执法队', kind: 'alliance_unit', node: STREET },
    ZJJ: { name: '住建所', kind: 'alliance_unit', node: STREET },
  },
  people: {
    // on the card
    secretary: { at: ['branch_secretary@LZ126'] },
    chair: { in: ['owners_chair@LZ126-YWH'] },
    communitySecretary: { at: ['branch_secretary@511802001006'] },
    communityWorker: { login: 'SBL01', at: ['community_worker@511802001006'] },
    streetDispatcher: { at: ['dispatcher@511802001'] },
    streetChief: { at: ['duty_chief@511802001'] },
    inspector: { at: ['inspector@511802001'] },
    caller: { at: ['caller@511802001'] },
    partner: { in: ['unit_liaison@LBDW'], ties: ['dual_unit@LBDW'] },
    enforcer: { in: ['unit_liaison@ZFD'] },
    surveyor: { in: ['unit_liaison@ZJJ'] },
    // who has built where he should not
    builder: {},
    member: { ties: ['party_member@LZ126-DZB'] },
    memberToo: { ties: ['party_member@LZ126-DZB'] },
    neighbour: { ties: ['volunteer@LZ126-DZB'] },
    tgHead: { at: ['branch_secretary@TG'], in: ['owners_chair@TG-ZGW'] },
  },
} as const satisfies Plan

let town: Town<typeof YUCHENG>
let people: Town<typeof YUCHENG>['people']

beforeAll(async () => {
  town = await openTown(YUCHENG, '2026-11-23T09:00') // a Monday
  ;({ people } = town)
})
afterAll(() => town.close())

const history = async (request: Seen) => (await town.history(request)).map(({ verb }) => verb)
const clock = (request: Seen) => request.deadlines.find(({ step }) => step === 'complete')!
const LI = { name: '李示例', phone: '18883500126', door: '2栋301' }

describe('“居民有困难不知道找谁”：照“连心卡”上的电话打给党支部书记', () => {
  let shed: Seen

  test('没有账号的居民打电话，书记当场登记姓名和电话，从此是首问责任人', async () => {
    shed = await people.secretary.files({
      item: 'illegal-building', title: '有人占用公共空间搭棚', node: 'LZ126-2', source: 'phone', filer: LI, respondent: people.builder.id,
    })
    expect(shed).toMatchObject({ state: 'filed', source: 'phone', firstContact: people.secretary.id })
    const [filed] = await town.history(shed)
    expect(filed).toMatchObject({ verb: 'file', actor: people.secretary.id, onBehalfOf: expect.any(String) })
    expect(filed!.onBehalfOf).not.toBe(people.secretary.id)
    expect(JSON.stringify([shed, filed])).not.toMatch(new RegExp(Object.values(LI).join('|')))
    await people.builder.cannotSee(shed)
    await people.secretary.does('accept', shed)
    expect(dueAt(await people.secretary.sees(shed), 'complete')).toBe('2026-12-07T18')
  })

  test('党支部和业委会出面：业委会主办，联包帮单位、社区协办，各有各的时限', async () => {
    await people.secretary.does('dispatch', shed, { to: 'LZ126-YWH', note: '请先上门劝说' })
    expect(await people.chair.hears(shed)).toEqual(told('dispatch'))
    await people.chair.does('sign', shed)
    await people.chair.does('respond', shed, { note: '今晚上门' })
    await people.secretary.does('add-co', shed, { to: 'LBDW', limit: '2wd' })
    const joint = await people.chair.does('add-co', shed, { to: 'SBL01', limit: '4wd' })
    expect(joint.coHandlers.map(({ person, dueAt: at }) => [person, hour(at!)])).toEqual([[null, '2026-11-25T18'], [people.communityWorker.id, '2026-11-27T18']])
    await people.partner.does('co-done', shed, { note: '劝说三户，同意两户' })
    expect((await people.chair.hears(shed)).at(-1)).toBe('co_done')
    // whoever has done his part sees the rest no more; closing is the lead's
    await people.partner.cannotSee(shed)
    expect((await people.communityWorker.mayNot('complete', shed, { outcome: '好了' })).code).toBe('forbidden')
  })

  test('一家劝不动：吹哨叫来执法队和住建所，各自报到；没报到的催到他们头上', async () => {
    const whistled = await people.secretary.does('whistle', shed, { to: ['ZFD', 'ZJJ'], reason: 'joint_enforcement', note: '周二上午大院门口' })
    expect(whistled.coHandlers.filter(({ via }) => via === 'whistle')).toHaveLength(2)
    expect(dueAt(whistled, 'report_in')).toBe('2026-11-24T18')
    expect([(await people.enforcer.hears(shed)).at(-1), (await people.surveyor.hears(shed)).at(-1)]).toEqual(['whistled', 'whistled'])
    await people.enforcer.does('report-in', shed, { note: '两人到场' })
    expect(await people.enforcer.mayNot('report-in', shed)).toMatchObject({ status: 409, code: 'already-reported' })
    expect((await people.chair.hears(shed)).at(-1)).toBe('reported_in')
    await town.clock('2026-11-24T18:01')
    expect((await town.history(shed)).at(-1)).toMatchObject({ verb: 'escalate', data: { step: 'report_in', level: 'street' } })
    expect((await people.inspector.hears(shed)).at(-1)).toBe('escalated')
    const both = await people.surveyor.does('report-in', shed)
    expect(dueAt(both, 'report_in')).toBeUndefined()
    expect((await people.secretary.sees(shed)).coHandlers.filter(({ via }) => via === 'whistle').map(({ reportedAt }) => reportedAt !== null))
      .toEqual([true, true])
  })

  test('上报东城街道办，责任节点随之移动；首问责任人还是书记', async () => {
    const raised = await people.secretary.does('raise', shed, { to: STREET, reason: '涉及七户，须街道牵头' })
    expect(raised).toMatchObject({ responsibleNode: { code: STREET }, node: { code: 'LZ126-2' }, firstContact: people.secretary.id, state: 'in_progress' })
    expect([(await people.streetDispatcher.hears(shed)).at(-1), await people.communitySecretary.hears(shed)]).toEqual(['raised', []])
    expect((await people.secretary.sees(shed)).allowed).not.toContain('redispatch')
  })

  test('要等旧改方案，申请挂账，街道同意：时限停走，复核日期一到回来', async () => {
    expect(await people.chair.mayNot('ask-park', shed, { until: instant('2027-06-01T09:00'), reason: '等旧改' }))
      .toMatchObject({ status: 400, ...at('/until', 'too-late') })
    await people.chair.does('ask-park', shed, { until: instant('2026-12-21T09:00'), reason: '等旧改方案定下来' })
    expect((await people.streetChief.hears(shed)).at(-1)).toBe('park_asked')
    expect(await people.chair.mayNot('grant-park', shed)).toMatchObject({ status: 403 })
    expect(await people.secretary.mayNot('grant-park', shed)).toMatchObject({ status: 403 })
    const parked = await people.streetChief.does('grant-park', shed, { note: '同意，届时复核' })
    expect(parked).toMatchObject({ state: 'parked', assignees: [], coHandlers: [] })
    expect([dueAt(parked, 'review'), clock(parked).standing, hour(clock(parked).originalDueAt)]).toEqual(['2026-12-21T09', true, '2026-12-07T18'])
    expect((await people.chair.hears(shed)).at(-1)).toBe('parked')
    await town.clock('2026-12-21T09:01')
    const back = await people.streetDispatcher.sees(shed)
    expect(back).toMatchObject({ state: 'accepted' })
    expect((await town.history(shed)).at(-1)).toMatchObject({ verb: 'unpark', data: { reason: 'review' } })
    // nineteen workdays have stood still; what falls into a year without published holidays is provisional
    expect([dueAt(back, 'complete'), clock(back).provisional, hour(clock(back).originalDueAt)]).toEqual(['2027-01-01T18', true, '2026-12-07T18'])
    expect((await people.streetDispatcher.hears(shed)).at(-1)).toBe('unparked')
  })

  test('拆了，居民还不满意：重办一次，新的一轮、新的时限', async () => {
    await people.streetDispatcher.does('dispatch', shed, { to: 'ZFD' })
    await people.enforcer.does('sign', shed)
    expect(await people.enforcer.does('complete', shed, { outcome: '拆除两处。', result: 'partly' }))
      .toMatchObject({ state: 'completed', result: 'partly', resolvedAtLevel: 'street' })
    const redo = await people.caller.does('follow-up', shed, { solved: 'unsolved', satisfaction: 'dissatisfied', comment: '三栋后面还有一处' })
    expect(redo).toMatchObject({ state: 'accepted', cycle: 2, result: null, satisfaction: null, firstContact: people.secretary.id })
    expect((await people.enforcer.hears(shed)).at(-1)).toBe('followed_up')
    expect((await people.streetDispatcher.hears(shed)).at(-1)).toBe('followed_up')
    expect([dueAt(redo, 'complete'), hour(clock(redo).originalDueAt), clock(redo).standing]).toEqual(['2027-01-04T18', '2027-01-04T18', false])
  })

  test('再不满意，如实结案，不再重办；新的要求另行提出', async () => {
    await people.streetDispatcher.does('dispatch', shed, { to: 'ZFD' })
    await people.enforcer.does('sign', shed)
    await people.enforcer.does('complete', shed, { outcome: '第三处也已拆除，空地交还大院。' })
    expect(await people.caller.does('follow-up', shed, { solved: 'partly', satisfaction: 'dissatisfied' }))
      .toMatchObject({ state: 'closed', cycle: 2, solved: 'partly', satisfaction: 'dissatisfied' })
    expect((await history(shed)).filter((verb) => verb === 'follow-up')).toHaveLength(2)
    await people.builder.cannotSee(shed)
  })
})

describe('“过去没人管、难解决的问题”', () => {
  test('确实办不了的要派单人确认，居民再评价', async () => {
    const lift = await people.secretary.files({ item: 'suggestion', title: '想加装电梯', node: 'LZ126', source: 'phone', filer: { name: '杨示例' } })
    await people.secretary.does('accept', lift)
    await people.secretary.does('dispatch', lift, { to: 'LZ126-YWH' })
    await people.chair.does('sign', lift)
    const said = await people.chair.does('complete', lift, { outcome: '管线下面是人防工程，装不了。', result: 'impossible' })
    expect(said).toMatchObject({ state: 'completed', result: 'impossible', confirmed: false })
    expect(said.deadlines.map(({ step }) => step)).toEqual(['confirm'])
    expect(await people.caller.mayNot('follow-up', lift, { solved: 'solved', satisfaction: 'satisfied' })).toMatchObject({ status: 409, code: 'not-confirmed' })
    expect(await people.chair.mayNot('confirm', lift)).toMatchObject({ status: 403 })
    const confirmed = await people.secretary.does('confirm', lift, { note: '看过图纸' })
    expect([confirmed.confirmed, confirmed.deadlines.map(({ step }) => step).sort()]).toEqual([true, ['close', 'follow_up']])
    // nobody answers the phone, twice
    expect(await people.caller.does('follow-up', lift, { reached: false })).toMatchObject({ state: 'completed' })
    expect(await people.caller.does('follow-up', lift, { reached: false })).toMatchObject({ state: 'closed', solved: null, satisfaction: null })
  })

  test('办得不实的退回重做，还是原来的人，还是原来的时限', async () => {
    const cleaning = await people.secretary.files({ item: 'cleaning', title: '大院保洁没人管', node: 'LZ126', source: 'phone', filer: { name: '杨示例' } })
    await people.secretary.does('accept', cleaning)
    await people.secretary.does('dispatch', cleaning, { to: 'LZ126-YWH' })
    const signed = await people.chair.does('sign', cleaning)
    await people.chair.does('complete', cleaning, { outcome: '扫了。' })
    const again = await people.secretary.does('send-back', cleaning, { reason: '只扫了门口' })
    expect(again)
      .toMatchObject({ state: 'in_progress', result: null, completedAt: null, assignees: [expect.objectContaining({ organisation: expect.any(String) })] })
    expect(clock(again)).toEqual(clock(signed))
    expect((await people.chair.hears(cleaning)).at(-1)).toBe('sent_back')
    await people.chair.does('complete', cleaning, { outcome: '全院清扫，排了值日表。' })
  })
})

describe('“党员志愿服务领路、邻里互助服务搭台、专业社会服务支撑”', () => {
  let wish: Seen

  test('党员认领了却迟迟没有动静，到期放回墙上，别的党员认领', async () => {
    wish = await people.secretary.files({
      item: 'companionship', title: '独居老人想有人说说话', node: 'LZ126', source: 'phone', targetGroup: 'elderly', filer: LI, consents: agreed('oral'),
    })
    await people.secretary.does('accept', wish)
    await people.secretary.does('place', wish, { wallTitle: '陪老人说说话' })
    expect(dueAt(await people.member.does('claim', wish), 'lease')).toBe('2026-12-23T18')
    expect(await town.wall()).toEqual([])
    await town.clock('2026-12-23T18:01')
    expect((await town.history(wish)).at(-1)).toMatchObject({ verb: 'release', state: 'open', data: { reason: 'lease_over' } })
    expect((await people.member.hears(wish)).at(-1)).toBe('released')
    expect((await town.wall()).map(({ number }) => number)).toEqual([wish.number])
    await people.memberToo.does('claim', wish)
    expect(await people.memberToo.does('respond', wish)).toMatchObject({ state: 'in_progress' })
    await town.clock('2026-12-25T18:01')
    expect((await history(wish)).at(-1)).toBe('respond')
  })

  test('“筹钱将楼道的墙壁粉刷一新”：二十户认了十二户，上墙期满就按十二户开工', async () => {
    const walls = await people.secretary.files({
      item: 'small-repair', title: '楼道墙皮掉了', node: 'LZ126-2', source: 'visit', filer: { name: '杨示例' }, consents: agreed('oral'),
    })
    await people.secretary.does('accept', walls)
    await people.secretary.does('place', walls, { slots: 20, wallTitle: '粉刷楼道，每户一份', wallText: '每份五十元。' })
    await people.member.does('claim', walls, { quantity: 5 })
    expect(await people.neighbour.mayNot('claim', walls)).toMatchObject({ code: 'not-yet' })
    await town.clock('2026-12-28T18:01')
    await people.neighbour.does('claim', walls, { quantity: 7 })
    expect(await people.partner.mayNot('claim', walls, { organisation: 'LBDW' }))
      .toMatchObject({ code: 'not-yet', kinds: ['party_member', 'volunteer', 'individual'] })
    await town.clock('2027-01-04T18:01')
    expect((await town.history(walls)).at(-1)).toMatchObject({ verb: 'start', state: 'in_progress' })
    expect(await people.secretary.sees(walls)).toMatchObject({ slots: 20, slotsTaken: 12 })
    expect((await people.neighbour.hears(walls)).at(-1)).toBe('started')
    expect(await people.neighbour.does('complete', walls, { outcome: '墙面刷好了，账目贴在门口。', beneficiaries: 20 }))
      .toMatchObject({ state: 'completed', beneficiaries: 20 })
  })

  test('没有业委会的小区：自管委照样收派单、照样办', async () => {
    const dance = await people.tgHead.files({ item: 'suggestion', title: '舞蹈队想要一块场地', node: 'TG', source: 'visit', filer: { name: '杨示例' } })
    await people.tgHead.does('accept', dance)
    await people.tgHead.does('dispatch', dance, { to: 'TG-ZGW' })
    await people.tgHead.does('sign', dance)
    expect(await people.tgHead.does('complete', dance, { outcome: '晚七点到八点用篮球场。', result: 'explained' }))
      .toMatchObject({ state: 'completed', result: 'explained', resolvedAtLevel: 'courtyard' })
    expect((await people.tgHead.sees(dance)).allowed).not.toContain('follow-up')
  })
})
