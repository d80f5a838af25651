import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { phonePhoto } from '../pictures.ts'
import { agreed, at, dueAt, openTown, told, type Plan, type Seen, type Town } from './town.ts'

/** 岳塘新闻网, 书院路街道新塘社区党总支联合金地物业: 业主诉求“首问责任制”, “群众点单、党组织接单、党员办单”的党员菜单式服务. */

const COMMUNITY = '430304004004'

const XINTANG = {
  code: '430304004', name: '书院路街道', wallLevel: 'compound',
  // 三长: 片长、组长、邻长
  levels: [['street', '街道'], ['community', '社区'], ['compound', '小区'], ['patch', '片'], ['group', '组'], ['neighbours', '邻']],
  nodes: [
    { parent: '430304004', code: COMMUNITY, name: '新塘社区', level: 'community' },
    { parent: COMMUNITY, code: 'JD', name: '金地小区', level: 'compound' },
    { parent: 'JD', code: 'JD-1', name: '第一片', level: 'patch' },
    { parent: 'JD-1', code: 'JD-1-2', name: '第二组', level: 'group' },
    { parent: 'JD-1-2', code: 'JD-1-2-3', name: '三邻', level: 'neighbours' },
  ],
  roles: [
    { code: 'front_desk', name: '首问责任人', capabilities: ['view', 'file_for'] },
    { code: 'patch_head', name: '片长', capabilities: ['view', 'supervise'] },
    { code: 'neighbour_head', name: '邻长', capabilities: ['view', 'file_for', 'supervise'] },
  ],
  policies: {
    standard: {
      limits: { sign: '1wd', respond: '1wd', complete: '5wd' }, rungEvery: '1wd', returnsMax: 2,
      // the last reminder is also his who was asked first
      reminders: [{ share: 0.5 }],
      stepReminders: { complete: [{ before: '1wd' }, { at: true, tell: ['assignee', 'dispatch'] }] },
    },
  },
  items: {
    'corridor-light': { policy: 'standard' }, drain: { policy: 'standard' },
    // 上门认证: two go, and a photo says that they were there
    'home-certification': { proof: true },
  },
  organisations: {
    'XT-DZZ': { name: '新塘社区党总支', kind: 'community_party', node: COMMUNITY },
    'JD-WY': { name: '金地物业', kind: 'property', node: 'JD' },
    'XLL': { name: '“新邻里”志愿者服务队', kind: 'volunteer_team', node: 'JD' },
  },
  people: {
    resident: { lives: 'JD-1-2-3' }, upstairs: {}, downstairs: {}, other: {},
    neighbourHead: { at: ['neighbour_head@JD-1-2-3'] },
    patchHead: { at: ['patch_head@JD-1'] },
    // 双向进入、交叉任职: of the property firm, and of the community's front desk
    steward: { login: 'WY01', at: ['front_desk@JD'], in: ['property_manager@JD-WY'] },
    colleague: { login: 'QT02', at: ['front_desk@JD'] },
    partySecretary: { at: ['branch_secretary@430304004004'] },
    partyMember: { login: 'DY07', ties: ['party_member@XT-DZZ'] },
    inspector: { at: ['inspector@430304004'] },
    caller: { at: ['caller@430304004'] },
    mediator: { login: 'HSL1', at: ['mediator@JD'] },
    volunteer: { ties: ['volunteer@XLL'] },
    communityWorker: { login: 'SG03', at: ['community_worker@430304004004'] },
  },
} as const satisfies Plan

let town: Town<typeof XINTANG>
let people: Town<typeof XINTANG>['people']

beforeAll(async () => {
  town = await openTown(XINTANG, '2026-11-23T09:00') // a Monday
  ;({ people } = town)
})
afterAll(() => town.close())

const verbs = async (request: Seen) => (await town.history(request)).map(({ verb }) => verb)

describe('业主诉求“首问责任制”，“群众点单、党组织接单、党员办单”', () => {
  let light: Seen
  const first = () => people.steward.id

  test('群众点单：业主先问到物业前台，前台登记，就是首问责任人', async () => {
    light = await people.steward.files({ item: 'corridor-light', title: '二组楼道灯坏了', node: 'JD-1-2-3', source: 'phone', filer: people.resident.id })
    expect(light).toMatchObject({ state: 'filed', firstContact: first(), source: 'phone' })
    expect(await people.resident.sees(light)).toMatchObject({ title: '二组楼道灯坏了', allowed: expect.arrayContaining(['urge', 'withdraw']) })
    expect(dueAt(light, 'complete')).toBe('2026-11-30T18')
  })

  test('党组织接单：社区党总支受理，首问责任人不变', async () => {
    expect(await people.partySecretary.hears(light)).toEqual(told('file'))
    expect(await people.partySecretary.does('accept', light)).toMatchObject({ state: 'accepted', firstContact: first() })
  })

  test('党员办单：派给党员，签收；不会修的退单，党总支同意，另派物业', async () => {
    await people.partySecretary.does('dispatch', light, { to: 'DY07' })
    expect(await people.partyMember.hears(light)).toEqual(told('dispatch'))
    await people.partyMember.does('sign', light)
    expect(await people.partyMember.mayNot('ask-return', light, {} as never)).toMatchObject({ status: 400, ...at('/reason') })
    expect(await people.partyMember.mayNot('release', light)).toMatchObject({ status: 409, code: 'not-claimed' })
    await people.partyMember.does('ask-return', light, { reason: 'unclear_duty', suggested: 'JD-WY', note: '要换整段线路' })
    expect((await people.partySecretary.sees(light)).asks)
      .toEqual([expect.objectContaining({ kind: 'return', reason: 'unclear_duty', status: 'open', person: people.partyMember.id })])
    expect(await people.partyMember.mayNot('grant-return', light)).toMatchObject({ status: 403 })
    expect(await people.partySecretary.does('grant-return', light)).toMatchObject({ state: 'accepted', assignees: [], firstContact: first() })
    expect((await people.partyMember.hears(light)).at(-1)).toBe('return_granted')
    const again = await people.partySecretary.does('dispatch', light, { to: 'JD-WY' })
    // sign anew, while the resident's clock runs on
    expect([dueAt(again, 'sign'), dueAt(again, 'complete'), again.firstContact]).toEqual(['2026-11-24T18', '2026-11-30T18', first()])
  })

  test('首问责任人得到每一次提醒：签收过半、签收超时升级到社区、再到街道', async () => {
    await town.clock('2026-11-24T18:01')
    expect((await town.history(light)).slice(-2).map(({ verb, data }) => [verb, data.step, data.level]))
      .toEqual([['remind', 'sign', undefined], ['escalate', 'sign', 'community']])
    // he is told as who was asked first, of what concerns the firm, whose manager he is: once of each
    expect((await people.steward.hears(light)).slice(-3)).toEqual(told('dispatch', 'remind', 'escalate'))
    // the late party is the firm, which stands at the compound: heads below it are not asked
    expect(await people.patchHead.hears(light)).toEqual([])
    expect((await people.partySecretary.hears(light)).at(-1)).toBe('escalated')
    await town.clock('2026-11-25T18:01')
    expect((await town.history(light)).at(-1)).toMatchObject({ verb: 'escalate', data: { level: 'street' }, state: 'dispatched' })
    expect((await people.inspector.hears(light))).toEqual(told('escalate'))
    await people.inspector.does('supervise', light, { note: '请今日签收' })
    expect((await people.steward.hears(light)).at(-1)).toBe('supervised')
  })

  test('首问责任只有移交才变：前台休假，记下移交给同事', async () => {
    expect(await people.neighbourHead.mayNot('hand-over', light, { to: 'QT02' })).toMatchObject({ status: 403 })
    const handed = await people.steward.does('hand-over', light, { to: 'QT02', note: '休假一周' })
    expect(handed.firstContact).toBe(people.colleague.id)
    expect((await town.history(light)).at(-1)).toMatchObject({ verb: 'hand-over', data: { from: first(), to: people.colleague.id } })
    expect((await people.colleague.hears(light)).at(-1)).toBe('handed_over')
    expect((await people.resident.hears(light)).at(-1)).toBe('handed_over')
    // the top of the ladder is reminded each workday, and from now on she with it, who has no other part in this
    await town.clock('2026-11-26T18:01')
    expect(await people.colleague.hears(light)).toEqual(told('hand-over', 'remind'))
  })

  test('物业签收办结，居民评价；时间一段一段记在各家名下，加起来正好', async () => {
    await people.steward.does('sign', light)
    await people.steward.does('complete', light, { outcome: '更换线路和三盏灯。' })
    const rated = await people.resident.does('rate', light, { solved: 'solved', satisfaction: 'satisfied', comment: '亮堂了' })
    // the firm stands at the compound, and so it was settled there
    expect(rated).toMatchObject({ state: 'closed', firstContact: people.colleague.id, resolvedAtLevel: 'compound', satisfaction: 'satisfied' })
    expect((await people.steward.hears(light)).at(-1)).toBe('rated')
    const { totalSeconds, data } = await people.partySecretary.get(`/v1/requests/${light.number}/durations`)
    const history = await town.history(light)
    expect(totalSeconds).toBeCloseTo((Date.parse(history.at(-1)!.at) - Date.parse(history[0]!.at)) / 1000, 3)
    expect((data as { seconds: number }[]).reduce((sum, { seconds }) => sum + seconds, 0)).toBeCloseTo(totalSeconds, 3)
    const longest = data[0] as { waitsFor: string; parties: string[] }
    expect(longest).toMatchObject({ waitsFor: 'assignee', parties: [expect.any(String)] })
  })
})

describe('“物业、社区一起疏通下水管”', () => {
  test('三户报同一处，并案办理：物业主办、社区协办，一次办结三件，各自评价，不满意的一户单独重办', async () => {
    const filers = [people.resident, people.upstairs, people.downstairs]
    const drains: Seen[] = []
    for (const filer of filers) drains.push(await filer.files({ item: 'drain', title: '一楼下水管堵了', node: 'JD-1-2' }))
    const [lead, second, third] = drains as [Seen, Seen, Seen]
    await people.partySecretary.does('accept', lead)
    await people.partySecretary.does('dispatch', lead, { to: 'JD-WY' })
    for (const other of [second, third]) expect(await people.partySecretary.does('merge', other, { into: lead.number }))
      .toMatchObject({ state: 'merged', mergedInto: lead.id })
    expect(await people.upstairs.hears(second)).toEqual(told('merge'))
    await people.steward.does('sign', lead)
    const joined = await people.steward.does('add-co', lead, { to: 'SG03', limit: '2wd', note: '请社区通知各户暂停用水' })
    expect(joined.coHandlers).toEqual([expect.objectContaining({ via: 'co', person: people.communityWorker.id })])
    expect(dueAt(joined, 'co')).toBe('2026-11-30T18')
    expect(await people.communityWorker.hears(lead)).toEqual(told('add-co'))
    expect((await people.communityWorker.sees(lead)).allowed).toEqual(expect.arrayContaining(['co-done']))
    expect((await people.communityWorker.mayNot('complete', lead, { outcome: '好了' })).code).toBe('forbidden')
    await people.communityWorker.does('co-done', lead, { note: '三户都通知了' })
    expect((await people.steward.hears(lead)).at(-1)).toBe('co_done')

    await people.steward.does('complete', lead, { outcome: '管道已疏通，加装滤网。' })
    const after = await Promise.all(drains.map((drain) => people.partySecretary.sees(drain)))
    expect(after.map(({ state, result, number }) => [state, result, number])).toEqual(drains.map(({ number }) => ['completed', 'realised', number]))
    // in the same commit
    expect(new Set(after.map(({ completedAt }) => completedAt)).size).toBe(1)
    expect((await people.downstairs.hears(third)).at(-1)).toBe('followed_lead')
    await people.resident.does('rate', lead, { solved: 'solved', satisfaction: 'satisfied' })
    expect(await people.upstairs.does('rate', second, { solved: 'unsolved', satisfaction: 'dissatisfied' }))
      .toMatchObject({ state: 'accepted', cycle: 2, mergedInto: null })
    await people.downstairs.does('rate', third, { solved: 'partly', satisfaction: 'fairly' })
    expect([await people.partySecretary.sees(lead), await people.partySecretary.sees(third)].map(({ state, cycle }) => [state, cycle]))
      .toEqual([['closed', 1], ['closed', 1]])
  })
})

describe('“调解邻里矛盾”', () => {
  let quarrel: Seen

  test('只给和事佬和受理的党组织看：邻长、被反映人、志愿者都看不到', async () => {
    quarrel = await people.downstairs.files({ item: 'mediation', title: '楼上半夜拖椅子', node: 'JD-1-2-3', respondent: people.upstairs.id })
    for (const curious of [people.neighbourHead, people.patchHead, people.upstairs, people.volunteer, people.inspector]) await curious.cannotSee(quarrel)
    expect(quarrel.allowed).not.toContain('place')
    await people.partySecretary.does('accept', quarrel)
    expect(await people.partySecretary.mayNot('place', quarrel)).toMatchObject({ status: 409, code: 'not-for-the-wall' })
    expect(await town.public()).not.toContain('拖椅子')
  })

  test('和事佬调解两场，达成协议；事件里只有社区，没有门牌', async () => {
    await people.partySecretary.does('dispatch', quarrel, { to: 'HSL1' })
    await people.mediator.does('sign', quarrel)
    await people.mediator.does('record', quarrel, { session: true, note: '两家都来了，没谈拢。' })
    await people.mediator.does('record', quarrel, { session: true, agreement: true, note: '十点以后铺地毯。' })
    expect(await people.mediator.mayNot('record', quarrel, { trip: true })).toMatchObject({ status: 400, ...at('/trip') })
    const settled = await people.mediator.does('complete', quarrel, { outcome: '双方签了协议。', result: 'realised' })
    expect(settled).toMatchObject({ state: 'completed', sessions: 2, kind: 'mediation' })
    expect((await town.history(quarrel, people.partySecretary)).filter(({ verb }) => verb === 'record').map(({ data }) => data))
      .toEqual([{ session: 1 }, { session: 2, agreement: true }])
    const { data } = await people.partySecretary.get('/v1/events?limit=100')
    const nodes = new Set((data as { number: string; node: string }[]).filter(({ number }) => number === quarrel.number).map(({ node }) => node))
    expect(nodes).toEqual(new Set([COMMUNITY]))
  })
})

describe('“上门认证”', () => {
  test('上门服务办结要有照片', async () => {
    const visit = await people.neighbourHead.files({
      item: 'home-certification', title: '老人下不了楼，请上门认证', node: 'JD-1-2-3', targetGroup: 'elderly', source: 'visit', filer: { name: '唐示例', phone: '13973200001' },
    })
    await people.partySecretary.does('accept', visit)
    await people.partySecretary.does('dispatch', visit, { to: 'SG03' })
    await people.communityWorker.does('sign', visit)
    expect(await people.communityWorker.mayNot('complete', visit, { outcome: '已认证' })).toMatchObject({ status: 400, ...at('/attachments', 'required') })
    const photo = await people.communityWorker.photographs(await phonePhoto({ width: 64, height: 48 }))
    const done = await people.communityWorker.does('complete', visit, { outcome: '已认证', attachments: [photo] })
    expect(done.state).toBe('completed')
    expect((await people.caller.get(`/v1/requests/${visit.number}/attachments`)).data).toEqual([expect.objectContaining({ id: photo, seq: done.version })])
    expect(JSON.stringify(await people.caller.sees(visit))).not.toMatch(/唐示例|13973200001/)
  })
})

describe('“新邻里”志愿者服务队', () => {
  test('卫生清扫活动：志愿者认领组织，居民报名，到场和受益的人数记在案', async () => {
    const sweeping = await people.steward.files({ item: 'activity', title: '月底卫生清扫', node: 'JD', consents: agreed('app') })
    await people.partySecretary.does('accept', sweeping)
    await people.partySecretary.does('place', sweeping, { wallTitle: '铲除小广告，清扫楼道', wallText: '周六九点，工具齐全。' })
    for (const neighbour of [people.resident, people.upstairs, people.other]) await neighbour.does('sign-up', sweeping)
    expect(await people.other.mayNot('sign-up', sweeping)).toMatchObject({ status: 409, code: 'already-signed-up' })
    await people.other.does('cancel-sign-up', sweeping)
    await people.volunteer.does('claim', sweeping)
    await people.volunteer.does('record', sweeping, { participants: 23 })
    const done = await people.volunteer.does('complete', sweeping, { outcome: '清理四个单元。', beneficiaries: 200 })
    expect(done).toMatchObject({ state: 'completed', beneficiaries: 200 })
    expect(await verbs(sweeping)).toEqual(['file', 'accept', 'place', 'sign-up', 'sign-up', 'sign-up', 'cancel-sign-up', 'claim', 'record', 'complete'])
  })
})
