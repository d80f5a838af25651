import { says, type Says } from './problems.ts'

/**
 * Whose business an act is. GB/T 22239-2019 (等保 2.0), 8.1.5 安全管理中心: system, security and audit administration are
 * held apart; GB/T 35273-2020 11.1: every handling of personal data is on record.
 */
export const AUDIT_CLASSES = ['system', 'security', 'data'] as const
export type AuditClass = (typeof AUDIT_CLASSES)[number]

interface Act extends Says {
  readonly class: AuditClass
}

const act = (of: AuditClass, zh: string, en: string): Act => ({ ...says(zh, en), class: of })

/** Every act that is accounted for, `object.verb`. Codes never change their meaning. What happens to a request is its own history. */
export const AUDIT_ACTIONS = {
  'duty.granted': act('security', '授予职责', 'Duty granted'),
  'duty.changed': act('security', '变更职责', 'Duty changed'),
  'duty.ended': act('security', '终止职责', 'Duty ended'),
  'role.changed': act('security', '变更职责权限', 'Role changed'),
  'person.created': act('security', '建立人员', 'Person created'),
  'person.changed': act('security', '变更人员', 'Person changed'),
  'person.suspended': act('security', '停用人员', 'Person suspended'),
  'person.resumed': act('security', '恢复人员', 'Person resumed'),
  'login.locked': act('security', '登录锁定', 'Login locked'),
  'login.unlocked': act('security', '登录解锁', 'Login unlocked'),
  'login.password-changed': act('security', '修改密码', 'Password changed'),
  'login.password-reset': act('security', '重置为一次性密码', 'One-time password issued'),
  'login.factor-enrolled': act('security', '启用双因素认证', 'Second factor enrolled'),
  'login.factor-removed': act('security', '停用双因素认证', 'Second factor removed'),
  'login.factor-used': act('security', '使用恢复码', 'Recovery code used'),
  'login.linked': act('security', '绑定外部登录', 'External login linked'),
  'login.unlinked': act('security', '解绑外部登录', 'External login unlinked'),
  'provider.changed': act('security', '变更外部登录方式', 'Login provider changed'),
  'enrolment.verified': act('security', '核实报到', 'Enrolment verified'),
  'enrolment.rejected': act('security', '退回报到', 'Enrolment rejected'),
  'enrolment.ended': act('security', '终止报到', 'Enrolment ended'),
  'household.linked': act('security', '交由联系人走访', 'Households given into care'),
  'household.unlinked': act('security', '解除住户联系', 'Households taken out of care'),
  'client.created': act('security', '登记应用', 'App registered'),
  'client.changed': act('security', '变更应用', 'App changed'),
  'client.secret-rotated': act('security', '轮换应用密钥', 'App secret rotated'),
  'client.revoked': act('security', '吊销应用', 'App revoked'),
  'key.created': act('security', '签发 API Key', 'API key issued'),
  'key.revoked': act('security', '吊销 API Key', 'API key revoked'),
  'keyring.rotated': act('security', '轮换主密钥', 'Keyring rotated'),
  'limit.changed': act('security', '变更限流', 'Rate limit changed'),

  'tenant.created': act('system', '开通租户', 'Tenant created'),
  'tenant.changed': act('system', '变更租户设置', 'Tenant settings changed'),
  'node.created': act('system', '新建地点', 'Node created'),
  'node.changed': act('system', '变更地点', 'Node changed'),
  'venue.changed': act('system', '变更驿站', 'Venue changed'),
  'campaign.changed': act('system', '变更专项行动', 'Campaign changed'),
  'organisation.created': act('system', '新建组织', 'Organisation created'),
  'organisation.changed': act('system', '变更组织', 'Organisation changed'),
  'policy.changed': act('system', '变更时限规则', 'Policy changed'),
  'item.changed': act('system', '变更服务菜单', 'Service item changed'),
  'calendar.changed': act('system', '变更工作日历', 'Calendar changed'),
  'endpoint.created': act('system', '登记回调地址', 'Webhook endpoint created'),
  'endpoint.changed': act('system', '变更回调地址', 'Webhook endpoint changed'),
  'endpoint.paused': act('system', '暂停回调地址', 'Webhook endpoint paused'),
  'endpoint.resumed': act('system', '恢复回调地址', 'Webhook endpoint resumed'),
  'endpoint.disabled': act('system', '停用回调地址', 'Webhook endpoint disabled'),
  'endpoint.secret-rotated': act('system', '轮换回调密钥', 'Webhook secret rotated'),
  'robot.created': act('system', '登记群机器人', 'Group robot registered'),
  'robot.removed': act('system', '移除群机器人', 'Group robot removed'),
  'robot.changed': act('system', '变更群机器人', 'Group robot changed'),

  'person.revealed': act('data', '查看个人信息明文', 'Personal data of a person revealed'),
  'request.revealed': act('data', '查看点单中的个人信息', 'Personal data of a request revealed'),
  'export.made': act('data', '导出数据', 'Data exported'),
  'import.made': act('data', '导入数据', 'Data imported'),
  'subject.exported': act('data', '提供个人信息副本', 'Copy of personal data given'),
  'subject.corrected': act('data', '更正个人信息', 'Personal data corrected'),
  'consent.changed': act('data', '变更同意', 'Consent changed'),
  'erasure.asked': act('data', '申请删除个人信息', 'Erasure asked for'),
  'erasure.held': act('data', '暂缓删除个人信息', 'Erasure held'),
  'erasure.done': act('data', '删除个人信息', 'Personal data erased'),
  'audit.read': act('data', '查阅审计记录', 'Audit read'),
} as const satisfies Record<string, Act>

export type AuditAction = keyof typeof AUDIT_ACTIONS
export const AUDIT_ACTION_CODES = Object.keys(AUDIT_ACTIONS) as [AuditAction, ...AuditAction[]]

/** What an act was done to. */
export const AUDIT_OBJECTS = [
  'person', 'subject', 'duty', 'role', 'client', 'key', 'keyring', 'provider', 'enrolment', 'tenant', 'node', 'organisation', 'policy', 'item', 'calendar',
  'endpoint', 'robot', 'request', 'text', 'attachment', 'venue', 'campaign', 'export', 'import', 'operation', 'audit',
] as const
export type AuditObject = (typeof AUDIT_OBJECTS)[number]

/** Codes, ids and counts: never a name, a number to call, a login or anything somebody wrote. */
export type AuditDetails = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

/** One act, as it is accounted for. */
export interface Accounted {
  action: AuditAction
  object: AuditObject
  /** Null where the object has a code only, which is in the details then. */
  objectId?: string | null | undefined
  details?: AuditDetails | undefined
  /** What the actor said why, kept apart from the entry so that it can be erased. */
  reason?: string | null | undefined
  /** The capacity, where it is known better than by `Acting-Duty`. */
  dutyId?: string | null | undefined
}
