import type { World } from './world.ts'

/** What the operations are called with, all of it of the compound YQHF; see `calls.ts`. */
export interface Things {
  /** Dispatched to YZ-PROPERTY, and in the state `dispatched`. */
  dispatched: { id: string; number: string }
  /** Was handled by YZ-PROPERTY, and is over. */
  closed: { id: string; number: string }
  /** Filed by the app for itself. */
  ofApp: { id: string; number: string }
  notification: string
  duty: string
  enrolment: string
  holder: string
  /** A webhook endpoint of the administrator of the compound, with one delivery; another of the app. */
  endpoint: string
  delivery: string
  endpointOfApp: string
  robot: string
  operation: string
  client: string
  key: string
  venue: string
  campaign: string
  household: string
}

const URL = 'http://127.0.0.1:9/hook'
export const newRobot = (name: string) => ({ channel: 'wecom', name, node: 'YQHF', url: `http://127.0.0.1:9/cgi-bin/webhook/send?key=${crypto.randomUUID()}` })

export async function makeThings(world: World): Promise<Things> {
  const { ok, token, appToken, ids, apps } = world
  const file = (by: string, body: object) => ok(by, 'POST', '/v1/requests', { item: 'cleaning', title: '楼道保洁', description: '三层有杂物', node: 'YQHF-02-1', ...body })
  const act = (by: string, verb: string, { id }: { id: string }, body: object = {}) => ok(by, 'POST', `/v1/requests/${id}/${verb}`, body)
  const [resident, dispatcher, agent, admin, rootAdmin] = [token('resident'), token('dispatcher'), token('agent'), token('admin'), token('rootAdmin')]

  const dispatched = await file(token('clerk'), { filer: ids.resident, beneficiary: ids.beneficiary, guardian: ids.guardian })
  await act(dispatcher, 'accept', dispatched)
  await act(dispatcher, 'dispatch', dispatched, { to: 'YZ-PROPERTY' })
  const closed = await file(token('clerk'), { filer: ids.resident })
  await act(dispatcher, 'accept', closed)
  await act(dispatcher, 'dispatch', closed, { to: 'YZ-PROPERTY' })
  await act(agent, 'sign', closed)
  await act(agent, 'complete', closed, { outcome: '已清理', result: 'realised' })
  await act(token('caller'), 'follow-up', closed, { solved: 'solved', satisfaction: 'satisfied' })
  const ofApp = await file(appToken(apps.app), { externalRef: 'A-1' })
  await world.relay()
  const { data: inbox } = await ok(resident, 'GET', '/v1/me/notifications?limit=100')
  const notification = inbox.find(({ type }: { type: string }) => type === 'request.accepted').id

  const { data: [duty] } = await ok(rootAdmin, 'GET', `/v1/duties?person=${ids.victim}`)
  const enrolment = await ok(resident, 'POST', '/v1/enrolments', { kind: 'volunteer', organisation: 'YQHF-DZB' })
  const holder = await ok(resident, 'POST', '/v1/skills/electrics/holders', { person: ids.resident, level: 3 })
  const endpoint = await ok(admin, 'POST', '/v1/webhook-endpoints', { url: URL, eventTypes: ['request.*'], node: 'YQHF' })
  const delivery = await ok(admin, 'POST', `/v1/webhook-endpoints/${endpoint.id}/test`)
  const endpointOfApp = await ok(appToken(apps.app), 'POST', '/v1/webhook-endpoints', { url: URL, eventTypes: ['request.*'] })
  const robot = await ok(admin, 'POST', '/v1/robots', newRobot('网格群'))
  const { operation } = await ok(admin, 'PUT', '/v1/policies/standard', { node: 'YQHF', body: { limits: { complete: '6wd' } }, applyToOpen: true })
  const client = await ok(rootAdmin, 'POST', '/v1/clients', { clientId: 'victim-app', name: '示例', scopes: ['requests:read'] })
  const key = await ok(rootAdmin, 'POST', '/v1/clients/victim-app/keys', { name: '脚本' })
  const { data: [household] } = await ok(rootAdmin, 'POST', '/v1/households', { households: [{ node: 'YQHF-02-1', door: '301' }] })
  const venue = await ok(admin, 'POST', '/v1/venues', { name: '驿站', node: 'YQHF' })
  const campaign = await ok(admin, 'POST', '/v1/campaigns', { node: 'YQHF', code: 'WINTER', name: '温暖过冬', from: '2026-01-01T00:00:00Z', to: '2099-01-01T00:00:00Z' })
  return {
    venue: venue.id, campaign: campaign.id, dispatched, closed, ofApp, notification, duty: duty.id, enrolment: enrolment.id, holder: holder.id, endpoint: endpoint.id, delivery: delivery.id,
    endpointOfApp: endpointOfApp.id, robot: robot.id, operation, client: client.id, key: key.id, household: household.id,
  }
}
