import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agreed, at, dueAt, hour, instant, openTown, told, type Plan, type Seen, type Town } from './town.ts'

/**
 * 《银雀山街道梨杭村：以“四微”强“四力”，同心共绘敦亲睦邻幸福画卷》: “居民点单、组织下单、党员接单”, 对接区委、街道和村居, 由党员、
 * 志愿者、爱心人士和爱心企业认领.
 */

const STREET = '371302002'
const VILLAGE = '371302002207'

const YINQUE = {
  code: STREET, name: '银雀山街道', wallLevel: 'compound',
  levels: [['street', '街道'], ['village', '村居'], ['compound', '小区'], ['micro_grid', '微网格'], ['building', '楼'], ['unit', '单元']],
  nodes: [
    { parent: STREET, code: VILLAGE, name: '梨杭村', level: 'village' },
    { parent: VILLAGE, code: 'YQHF', name: '银雀华府', level: 'compound' },
    { parent: 'YQHF', code: 'YQHF-W1', name: '第一微网格', level: 'micro_grid' },
    { parent: 'YQHF-W1', code: 'YQHF-03', name: '3号楼', level: 'building' },
    { parent: 'YQHF-03', code: 'YQHF-03-2', name: '3号楼2单元', level: 'unit' },
  ],
  roles: [
    // Here the branch dispatches, and the head of a tower does not.
    { code: 'building_head', name: '楼长', capabilities: ['view', 'file_for', 'handle', 'supervise'] },
    { code: 'on_call', name: '党总支值班', capabilities: ['handle'] },
  ],
  policies: {
    wish: {
      limits: { claim: '10d', wave: '2wd', lease: '3wd', complete: '30d' },
      claims: {
        kinds: ['party_member', 'volunteer', 'individual', 'enterprise'], perClaimer: 2,
        waves: [['party_member'], ['volunteer', 'individual'], ['enterprise']],
      },
      backstop: 'LHC-DZZ', urgesPerDay: 2,
    },
  },
  items: {
    // 急事共商、难事共议: the grade selects what time there is
    drain: { policy: 'standard', gradePolicies: { urgent: 'urgent' } },
  },
  organisations: {
    'LHC-DZZ': { name: '梨杭村党总支', kind: 'community_party', node: VILLAGE },
    'YQHF-DZB': { name: '银雀华府小区党支部', kind: 'branch', node: 'YQHF' },
    YINGGUANG: { name: '“萤光”志愿服务队', kind: 'volunteer_team', node: 'YQHF' },
    AXQY: { name: '示例爱心企业', kind: 'enterprise', node: VILLAGE },
    QUWEI: { name: '区委社会工作部', kind: 'party_committee', node: STREET },
  },
  people: {
    resident: {}, neighbour: {},
    unitHead: { at: ['unit_head@YQHF-03-2'] },
    buildingHead: { at: ['building_head@YQHF-03'] },
    secretary: { at: ['branch_secretary@YQHF'] },
    villageSecretary: { at: ['branch_secretary@371302002207'], in: ['on_call@LHC-DZZ'] },
    streetDispatcher: { at: ['dispatcher@371302002'] },
    caller: { at: ['caller@371302002'] },
    member: { ties: ['party_member@YQHF-DZB'] },
    // 双找: works elsewhere, has found his branch where he lives
    residentMember: { ties: ['party_member@LHC-DZZ', 'party_member@YQHF-DZB'] },
    volunteer: { ties: ['volunteer@YINGGUANG'] },
    kindPerson: { ties: ['individual@YQHF-DZB'] },
    agent: { in: ['enterprise_agent@AXQY'], ties: ['enterprise@AXQY'] },
    shopAssistant: { login: 'AX02', ties: ['enterprise@AXQY'] },
  },
} as const satisfies Plan

let town: Town<typeof YINQUE>
let people: Town<typeof YINQUE>['people']

beforeAll(async () => {
  town = await openTown(YINQUE, '2026-11-23T09:00') // a Monday
  ;({ people } = town)
})
afterAll(() => town.close())

const verbs = async (request: Seen) => (await town.history(request)).map(({ verb }) => verb)
const ELDER = { name: '袁示例', phone: '13905390001', door: '1201' }
const CANARIES = [ELDER.name, ELDER.phone, ELDER.door, '腿脚', '老花', '残疾', 'disabled', 'elderly']

describe('“居民点单、组织下单、党员接单”', () => {
  let wish: Seen

  test('面向小区老年人征集心愿：单元长上门，代没有账号的老人点单，他就是首问责任人', async () => {
    wish = await people.unitHead.files({
      item: 'small-gift', title: '袁奶奶腿脚不便，想要一副老花镜', description: '住1201，平时一个人。', node: 'YQHF-03-2', source: 'visit', targetGroup: 'elderly', filer: ELDER,
      consents: agreed('oral'),
    })
    expect(wish).toMatchObject({ state: 'filed', source: 'visit', firstContact: people.unitHead.id, targetGroup: 'elderly', node: { code: 'YQHF-03-2' } })
    expect([dueAt(wish, 'accept'), dueAt(wish, 'complete')]).toEqual(['2026-11-24T10', '2026-12-23T09'])
    const [filed] = await town.history(wish)
    expect(filed).toMatchObject({ verb: 'file', onBehalfOf: expect.any(String) })
  })

  test('小区党支部受理、组织下单', async () => {
    expect([await people.secretary.hears(wish), await people.villageSecretary.hears(wish), await people.buildingHead.hears(wish)]).toEqual([told('file'), [], []])
    await people.secretary.does('accept', wish, { note: '已上门核实' })
    const placed = await people.secretary.does('place', wish, { wallTitle: '一副眼镜', wallText: '250度，送到党员萤火驿站。' })
    expect(placed).toMatchObject({ state: 'open', slots: 1, slotsTaken: 0, wave: 0, firstContact: people.unitHead.id })
    // ten days on the wall, two workdays for the members alone
    expect([dueAt(placed, 'claim'), dueAt(placed, 'wave')]).toEqual(['2026-12-03T09', '2026-11-25T18'])
  })

  test('“心愿墙”上没有老人的话、姓名和门牌，只到小区', async () => {
    expect(await town.wall())
      .toEqual([expect.objectContaining({ number: wish.number, title: '一副眼镜', text: '250度，送到党员萤火驿站。', compound: expect.objectContaining({ code: 'YQHF' }) })])
    const shown = `${await town.public()}${JSON.stringify(await people.member.sees(wish))}`
    for (const canary of CANARIES) expect(shown).not.toContain(canary)
  })

  test('先由党员认领：志愿者、爱心人士和爱心企业还没有轮到，居民不能认领', async () => {
    for (const early of [people.volunteer, people.kindPerson, people.agent]) {
      expect(await early.mayNot('claim', wish)).toMatchObject({ status: 409, code: 'not-yet', kinds: ['party_member'] })
    }
    expect(await people.neighbour.mayNot('claim', wish)).toMatchObject({ status: 404 })
  })

  test('两名党员同时认领，只有一人成功', async () => {
    const answers = await Promise.all([people.member, people.residentMember].map(({ tries }) => tries('claim', wish)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
    const lost = answers.find(({ status }) => status === 409)!.body
    expect(lost).toMatchObject({ code: 'transition-refused', state: 'in_progress', allowed: [] })
    expect(await town.wall()).toEqual([])
  })

  test('党员办结，受益人满意不满意，由承办人以外的回访员去问', async () => {
    const mine = await people.member.sees(wish)
    const winner = mine.assignees.some(({ person }) => person === people.member.id) ? people.member : people.residentMember
    expect(await winner.hears(wish)).toEqual([])
    expect(dueAt(await winner.sees(wish), 'lease')).toBe('2026-11-26T18')
    await winner.does('respond', wish, { note: '今晚去看望' })
    expect(dueAt(await winner.sees(wish), 'lease')).toBeUndefined()
    expect(await winner.does('complete', wish, { outcome: '眼镜已配好，老人试过了。' })).toMatchObject({ state: 'completed', result: 'realised' })
    expect(await people.caller.hears(wish)).toEqual(told('complete'))
    const closed = await people.caller.does('follow-up', wish, { solved: 'solved', satisfaction: 'satisfied', comment: '老人说看得清报纸了' })
    expect(closed).toMatchObject({ state: 'closed', solved: 'solved', satisfaction: 'satisfied', deadlines: [] })
    expect(await verbs(wish)).toEqual(['file', 'accept', 'place', 'claim', 'respond', 'complete', 'follow-up'])
    expect(await winner.hears(wish)).toEqual(told('follow-up'))
  })
})

describe('残疾儿童的心愿', () => {
  let wish: Seen

  test('没有监护人同意不上墙', async () => {
    wish = await people.unitHead.files({
      item: 'study-help', title: '孩子出不了门，想有人来教画画', node: 'YQHF-03-2', source: 'wall', targetGroup: 'disabled_child',
      filer: { name: '许示例' }, guardian: { name: '许示例' },
    })
    await people.secretary.does('accept', wish)
    expect((await people.secretary.sees(wish)).allowed).not.toContain('place')
    expect(await people.secretary.mayNot('place', wish)).toMatchObject({ status: 409, code: 'consent-missing' })
    await people.unitHead.does('consent', wish, { purpose: 'wall', by: 'self', how: 'oral' })
    expect(await people.secretary.mayNot('place', wish)).toMatchObject({ code: 'consent-missing' })
    const agreed = await people.unitHead.does('consent', wish, { purpose: 'wall', by: 'guardian', how: 'paper' })
    expect(agreed.consents).toEqual([expect.objectContaining({ purpose: 'wall', by: 'guardian', granted: true })])
    await people.secretary.does('place', wish, { wallTitle: '教一个孩子画画', wallText: '每周一次，画具已备。' })
    for (const canary of [...CANARIES, '许示例', '出不了门']) expect(await town.public()).not.toContain(canary)
  })

  test('两个工作日没有党员认领，轮到志愿者、爱心人士', async () => {
    await town.clock('2026-11-25T18:00')
    expect((await town.history(wish)).at(-1)).toMatchObject({ verb: 'widen', state: 'open', data: { wave: 1, kinds: ['volunteer', 'individual'] } })
    expect((await people.volunteer.sees(wish)).allowed).toContain('claim')
    expect(await people.agent.mayNot('claim', wish, { organisation: 'AXQY' }))
      .toMatchObject({ code: 'not-yet', kinds: ['party_member', 'volunteer', 'individual'] })
    expect(dueAt(await people.secretary.sees(wish), 'wave')).toBe('2026-11-27T18')
  })

  test('又两个工作日，轮到爱心企业：代办人代表企业认领，企业指定由谁去', async () => {
    await town.clock('2026-11-27T18:00')
    expect(await people.agent.mayNot('claim', wish, { organisation: 'YINGGUANG' })).toMatchObject({ status: 422, code: 'target-unknown', ...at('/organisation') })
    await people.agent.does('claim', wish, { organisation: 'AXQY' })
    expect(await people.secretary.hears(wish)).toEqual(told('file', 'claim'))
    const going = await people.agent.does('assign', wish, { to: 'AX02' })
    expect(going.assignees).toEqual([expect.objectContaining({ via: 'claim', person: null, organisation: expect.any(String), goes: people.shopAssistant.id })])
    expect(await people.shopAssistant.hears(wish)).toEqual(told('assign'))
    await people.shopAssistant.does('complete', wish, { outcome: '教了第一课，孩子画了一只小狗。' })
    expect(await verbs(wish)).toEqual(['file', 'accept', 'consent', 'consent', 'place', 'widen', 'widen', 'claim', 'assign', 'complete'])
  })
})

describe('谁也没有认领的', () => {
  let wish: Seen

  test('上墙期满由村居兜底：党总支收到派单、签收', async () => {
    wish = await people.resident.files({ item: 'companionship', title: '想找人一起练普通话', node: 'YQHF-03-2', consents: agreed('app') })
    await people.secretary.does('accept', wish)
    expect(dueAt(await people.secretary.does('place', wish, { wallTitle: '练普通话的伙伴' }), 'claim')).toBe('2026-12-07T18')
    await town.clock('2026-12-07T18:05')
    const happened = await town.history(wish)
    expect(happened.map(({ verb }) => verb).filter((verb) => verb !== 'remind')).toEqual(['file', 'accept', 'place', 'widen', 'widen', 'dispatch'])
    expect(happened.at(-1)).toMatchObject({ state: 'dispatched', data: { backstop: true } })
    expect(await town.wall()).toEqual([])
    expect([await people.villageSecretary.hears(wish), await people.resident.hears(wish)]).toEqual([told('dispatch'), told('accept', 'place', 'dispatch')])
    // the resident's thirty days have run since she filed
    expect(await people.villageSecretary.does('sign', wish)).toMatchObject({ state: 'in_progress', allowed: expect.arrayContaining(['complete', 'ask-return']) })
    expect(dueAt(await people.resident.sees(wish), 'complete')).toBe('2026-12-28T18')
  })

  test('居民等急了可以催办，一天两次；支部书记、承办人和首问责任人都知道', async () => {
    await people.resident.does('urge', wish, { note: '有消息吗？' })
    await people.resident.does('urge', wish)
    expect(await people.resident.mayNot('urge', wish)).toMatchObject({ status: 409, code: 'limit-reached', limit: 2 })
    expect(await people.neighbour.mayNot('urge', wish)).toMatchObject({ status: 404 })
    // she is who took it up, and nearest to dispatch: told once of each
    expect((await people.secretary.hears(wish)).filter((type) => type === 'urged')).toHaveLength(2)
    expect((await people.villageSecretary.hears(wish)).filter((type) => type === 'urged')).toHaveLength(2)
    await town.clock('2026-12-08T09:00')
    await people.resident.does('urge', wish)
  })
})

describe('“对接区委、街道和村居”', () => {
  test('支部放不下的，上报村居、街道，直到区委；原小区还看得见，却不再由它下单', async () => {
    const wish = await people.resident.files({ item: 'environment-cleaning', title: '小区外的河沟有异味', node: 'YQHF', consents: agreed('app') })
    await people.secretary.does('accept', wish)
    expect(await people.secretary.does('raise', wish, { reason: '河沟在小区外' }))
      .toMatchObject({ state: 'accepted', responsibleNode: { code: VILLAGE }, node: { code: 'YQHF' } })
    expect(await people.villageSecretary.hears(wish)).toEqual(told('raise'))
    expect((await people.secretary.sees(wish)).allowed).not.toContain('place')
    expect(await people.secretary.mayNot('place', wish)).toMatchObject({ status: 403 })
    expect(await people.villageSecretary.mayNot('raise', wish, { to: 'YQHF', reason: '退回' })).toMatchObject({ status: 400, ...at('/to', 'not-an-ancestor') })

    const outside = await people.villageSecretary.does('raise', wish, { to: 'QUWEI', reason: '涉及两个街道' })
    expect(outside).toMatchObject({ responsibleNode: { code: STREET }, firstContact: people.secretary.id })
    expect((await town.history(wish)).at(-1)!.data).toMatchObject({ organisation: expect.any(String) })
    // now the street is asked, and the wall may be the whole street's
    expect(await people.streetDispatcher.hears(wish)).toEqual(told('raise'))
    await people.streetDispatcher.does('place', wish, { wallTitle: '一起清河沟', slots: 20, scope: STREET })
    expect((await people.residentMember.sees(wish)).allowed).toEqual(['claim'])
    expect(await people.resident.hears(wish)).toEqual(told('accept', 'raise', 'raise', 'place'))
  })
})

describe('“急事共商、难事共议”', () => {
  test('分级决定时限：急事二十四小时办结，常事十个工作日，都从点单起算', async () => {
    const drain = await people.resident.files({ item: 'drain', title: '厨房下水返水', node: 'YQHF-03-2', grade: 'urgent' })
    expect(dueAt(drain, 'complete')).toBe('2026-12-09T09')
    const eased = await people.secretary.does('accept', drain, { grade: 'practical', note: '已先关了阀门' })
    expect(dueAt(eased, 'complete')).toBe('2026-12-22T18')
    expect(eased.deadlines.find(({ step }) => step === 'complete'))
      .toMatchObject({ originalDueAt: drain.deadlines.find(({ step }) => step === 'complete')!.dueAt })
  })
})

describe('“居民信报箱，广泛征集群众诉求和相关意见建议”', () => {
  test('信报箱里的建议：几时投的、几时录的分开记；答复即可，不上墙', async () => {
    const slip = await people.unitHead.files({
      item: 'suggestion', title: '楼下加一盏灯', node: 'YQHF-03-2', source: 'mailbox', collectedAt: instant('2026-12-05T08:00'),
      filer: { name: '邻示例' }, consents: agreed('paper'),
    })
    expect([hour(slip.collectedAt!), hour(slip.filedAt), slip.kind]).toEqual(['2026-12-05T08', '2026-12-08T09', 'suggestion'])
    await people.secretary.does('accept', slip)
    expect(await people.secretary.mayNot('place', slip, {})).toMatchObject({ status: 409, code: 'not-for-the-wall' })
  })
})

describe('一人多认领', () => {
  test('同时最多认领两件，第三件要等办完一件', async () => {
    const wishes: Seen[] = []
    for (const title of ['一', '二', '三']) {
      const wish = await people.resident.files({ item: 'small-repair', title: `小修小补之${title}`, node: 'YQHF-03-2', consents: agreed('app') })
      await people.secretary.does('accept', wish)
      await people.secretary.does('place', wish)
      wishes.push(wish)
    }
    const [first, second, third] = wishes as [Seen, Seen, Seen]
    await people.member.does('claim', first)
    await people.member.does('claim', second)
    expect(await people.member.mayNot('claim', third)).toMatchObject({ status: 409, code: 'limit-reached', limit: 2 })
    await people.member.does('complete', first, { outcome: '修好了' })
    await people.member.does('claim', third)
  })
})
