export interface Credentials {
  clientId: string
  clientSecret: string
  /** Needed where there are several tenants. */
  tenant?: string
  /** Fewer than the app may have. */
  scope?: readonly string[]
}

interface Tokens {
  /** One that is good for a while yet. */
  current(): Promise<string>
  /** A new one, whatever the old one says. */
  renewed(): Promise<string>
}

/** Seconds before the end at which a new one is fetched. */
const EARLY = 30

/** client_credentials (RFC 6749, 4.4). Whoever asks while one is on its way waits for that one. */
export function tokens(origin: string, { clientId, clientSecret, tenant, scope }: Credentials, fetch: (request: Request) => Promise<Response>): Tokens {
  let held: { token: string; goodUntil: number } | undefined
  let coming: Promise<string> | undefined

  async function granted(): Promise<string> {
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret })
    if (tenant !== undefined) body.set('tenant', tenant)
    if (scope !== undefined) body.set('scope', scope.join(' '))
    const answer = await fetch(new Request(`${origin}/oauth/token`, { method: 'POST', body }))
    const said = (await answer.json()) as { access_token?: string; expires_in?: number; error_description?: string; title?: string }
    if (said.access_token === undefined) throw new Error(`no token (${answer.status}): ${said.error_description ?? said.title ?? ''}`)
    held = { token: said.access_token, goodUntil: performance.now() + ((said.expires_in ?? 0) - EARLY) * 1_000 }
    return said.access_token
  }
  const renewed = (): Promise<string> => (coming ??= granted().finally(() => { coming = undefined }))

  return { renewed, current: async () => (held !== undefined && performance.now() < held.goodUntil ? held.token : renewed()) }
}
