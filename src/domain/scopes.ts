import { says, type Says } from './problems.ts'

/** What an app may be allowed. The rights of a person it acts for are a further limit, never an extension. */
export const SCOPES = {
  'requests:read': says('查看点单', 'Read requests'),
  'requests:write': says('点单和办理', 'File requests and act on them'),
  'events:read': says('读取事件流', 'Read the event feed'),
  'webhooks:manage': says('管理回调地址，接收事件通知', 'Manage webhook endpoints and receive events'),
  'directory:read': says('查看网格、组织、人员和服务菜单', 'Read nodes, organisations, people and items'),
  'directory:write': says('维护网格、组织、人员和服务菜单', 'Maintain nodes, organisations, people and items'),
} as const satisfies Record<string, Says>

export type Scope = keyof typeof SCOPES
export const SCOPE_NAMES = Object.keys(SCOPES) as Scope[]

export const isScope = (name: string): name is Scope => Object.hasOwn(SCOPES, name)
