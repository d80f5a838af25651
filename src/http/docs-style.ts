/** Swagger UI speaks English and OAuth; grid staff read Chinese and know a 工号 and a password. */
const LABELS: Record<string, string> = {
  '.topbar .select-label > span': '文档',
  '.btn.authorize.unlocked > span': '登录',
  '.btn.authorize.locked > span': '已登录',
  '.modal-ux-header h3': '登录',
  'label[for=oauth_username]': '工号',
  'label[for=oauth_password]': '密码',
  '.modal-btn.authorize:not([aria-label="Remove authorization"])': '登录',
  '.modal-btn[aria-label="Remove authorization"]': '退出登录',
  '.modal-btn.btn-done': '关闭',
  '.try-out__btn:not(.cancel)': '试一试',
  '.try-out__btn.cancel': '取消',
  '.btn.execute': '执行',
  '.btn.btn-clear': '清除',
}

/** What the password login fills in by itself, and what there is only one of. */
const HIDDEN = [
  '.scope-def', '.flow', '.servers-title', '.servers', '.info__license', '.info .link',
  ...['password_type', 'client_id_password', 'client_secret_password'].map((id) => `.wrapper:has(> label[for=${id}])`),
]

export const DOCS_CSS = [
  '.swagger-ui, .swagger-ui .info .title, .swagger-ui .opblock-tag { font-family: "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif }',
  ...Object.entries(LABELS).map(([selector, label]) => `.swagger-ui ${selector} { font-size: 0 !important } .swagger-ui ${selector}::after { content: "${label}"; font-size: 14px }`),
  ...HIDDEN.map((selector) => `.swagger-ui ${selector} { display: none !important }`),
].join('\n')

export const DOCS_LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 84 28"><text y="22" font-size="26" font-weight="bold" fill="#fff" font-family="sans-serif">心愿墙</text></svg>'
