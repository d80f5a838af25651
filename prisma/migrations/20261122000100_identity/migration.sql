-- Sandboxes, sign-on by an issuer of the customer's own, second factors, lock-outs, the three administrators.
-- Non-breaking: new tables, a new column that may be left out, capabilities that the former version does not ask for.

-- 沙箱: a tenant of its own for each app that only tries. Everything that keeps tenants apart keeps it apart. No foreign
-- key, for a tenant hangs on none: neither is ever deleted.
ALTER TABLE "tenant" ADD COLUMN "sandboxOfId" UUID, ADD CONSTRAINT "tenant_sandboxOfId_check" CHECK ("sandboxOfId" <> "id");
CREATE INDEX "tenant_sandboxOfId_idx" ON "tenant"("sandboxOfId");

-- 统一身份认证: whose id tokens are believed, and by which claim its people are known here.
CREATE TABLE "identity_provider" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "audience" TEXT NOT NULL,
    "claim" TEXT NOT NULL,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "changedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "identity_provider_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "identity_provider_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"
);
CREATE UNIQUE INDEX "identity_provider_issuer_key" ON "identity_provider"("tenantId", "issuer", "audience");

-- 动态口令: the secret sealed, recovery codes as hashes. The last step stays when the rest is taken away: no code is good twice.
CREATE TABLE "totp" (
    "tenantId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "kid" TEXT,
    "sealed" BYTEA,
    "recovery" TEXT[] NOT NULL DEFAULT '{}',
    "lastStep" INTEGER NOT NULL DEFAULT 0,
    "enrolledAt" TIMESTAMPTZ(3),
    "confirmedAt" TIMESTAMPTZ(3),

    CONSTRAINT "totp_pkey" PRIMARY KEY ("tenantId","personId"),
    CONSTRAINT "totp_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
    CONSTRAINT "totp_sealed_check" CHECK (("sealed" IS NULL) = ("kid" IS NULL) AND ("confirmedAt" IS NULL OR "sealed" IS NOT NULL))
);

-- 锁定: failed logins by login and by address, as their HMAC, for all processes together.
CREATE TABLE "lockout" (
    "tenantId" UUID NOT NULL,
    "key" BYTEA NOT NULL,
    "failed" INTEGER NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "lockout_pkey" PRIMARY KEY ("tenantId","key"),
    CONSTRAINT "lockout_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant",
    CONSTRAINT "lockout_key_check" CHECK (length("key") = 32 AND "failed" >= 0)
);

CALL wishwall_second_wall('identity_provider');
CALL wishwall_second_wall('totp');
CALL wishwall_second_wall('lockout');

GRANT SELECT, INSERT ON "identity_provider", "totp", "lockout" TO wishwall_app;
GRANT UPDATE ("name", "audience", "claim", "enabled", "changedAt") ON "identity_provider" TO wishwall_app;
GRANT UPDATE ("kid", "sealed", "recovery", "lastStep", "enrolledAt", "confirmedAt") ON "totp" TO wishwall_app;
GRANT UPDATE ("failed", "until") ON "lockout" TO wishwall_app;

-- 三员 (GB/T 22239, 等保三级): three duties beside the 管理员 of a small town, who is all of them.
INSERT INTO "role" ("tenantId", "code", "name", "capabilities")
  SELECT t."id", r.* FROM "tenant" t CROSS JOIN (VALUES
    ('system_admin', '系统管理员', ARRAY['configure']), ('security_admin', '安全管理员', ARRAY['secure']), ('audit_admin', '审计管理员', ARRAY['audit'])) r(code, name, capabilities)
  ON CONFLICT DO NOTHING;
UPDATE "role" SET "capabilities" = array_append("capabilities", 'audit') WHERE "code" = 'admin' AND 'administer' = ANY ("capabilities") AND NOT 'audit' = ANY ("capabilities");
