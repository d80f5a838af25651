-- Figures and credit, both kept from the feed by a consumer of its own. Non-breaking: new tables.

-- What a request counts as: a row for each cycle and thing counted, and again for each party to it (slot 1 and up). `at` is the
-- instant that puts it into a period, `day` that instant's day in the tenant's zone, counted from 1970-01-01; a row that no
-- longer counts keeps its place with no instant. See domain/rate-facts.ts.
CREATE TABLE "rate_fact" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "cycle" INTEGER NOT NULL,
    "base" TEXT NOT NULL,
    "unit" INTEGER NOT NULL,
    "slot" INTEGER NOT NULL,
    "partyId" UUID,
    "at" TIMESTAMPTZ(3),
    "day" INTEGER,
    "path" TEXT COLLATE "C" NOT NULL,
    "item" TEXT NOT NULL,
    "met" INTEGER NOT NULL,
    "excluded" BOOLEAN NOT NULL,

    CONSTRAINT "rate_fact_pkey" PRIMARY KEY ("tenantId","requestId","cycle","base","unit","slot"),
    CONSTRAINT "rate_fact_tenantId_requestId_fkey" FOREIGN KEY ("tenantId", "requestId") REFERENCES "request",
    CONSTRAINT "rate_fact_party_check" CHECK (("slot" = 0) = ("partyId" IS NULL)),
    CONSTRAINT "rate_fact_at_check" CHECK (("at" IS NULL) = ("day" IS NULL))
);
-- By time for large parts of the tree, by place for small ones, by party. All that is counted by is in the index.
CREATE INDEX "rate_fact_when_idx" ON "rate_fact" ("tenantId", "base", "at") INCLUDE ("path", "item", "met", "excluded", "day", "requestId", "cycle", "unit") WHERE "slot" = 0 AND "at" IS NOT NULL;
CREATE INDEX "rate_fact_where_idx" ON "rate_fact" ("tenantId", "path", "base", "at") INCLUDE ("slot", "partyId", "item", "met", "excluded", "day") WHERE "at" IS NOT NULL;
CREATE INDEX "rate_fact_party_idx" ON "rate_fact" ("tenantId", "partyId", "base", "at") INCLUDE ("path", "item", "met", "excluded", "day") WHERE "slot" > 0 AND "at" IS NOT NULL;
CREATE INDEX "rate_fact_excluded_idx" ON "rate_fact" ("tenantId", "at") WHERE "excluded" AND "slot" = 0 AND "at" IS NOT NULL;

-- The facts of each month added up, for the upper places with all below them: of all parties together by service (`partyId` nil), and
-- of each party over all services (`item` '*'). Written with the facts; what lies in whole months past is read here.
CREATE TABLE "rate_month" (
    "tenantId" UUID NOT NULL,
    "path" TEXT COLLATE "C" NOT NULL,
    "partyId" UUID NOT NULL,
    "month" INTEGER NOT NULL,
    "base" TEXT NOT NULL,
    "item" TEXT NOT NULL,
    "met" INTEGER NOT NULL,
    "excluded" BOOLEAN NOT NULL,
    "abovePath" TEXT COLLATE "C" NOT NULL,
    "count" INTEGER NOT NULL,

    CONSTRAINT "rate_month_pkey" PRIMARY KEY ("tenantId","path","partyId","month","base","item","met","excluded"),
    CONSTRAINT "rate_month_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant",
    CONSTRAINT "rate_month_count_check" CHECK ("count" >= 0)
);
CREATE INDEX "rate_month_below_idx" ON "rate_month" ("tenantId", "abovePath", "month") WHERE "partyId" = '00000000-0000-0000-0000-000000000000';
CREATE INDEX "rate_month_month_idx" ON "rate_month" ("tenantId", "month");

-- 积分: append-only. An entry is of one holder at one event of a request; what is taken back names the entry it takes back.
CREATE TABLE "credit_entry" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "cycle" INTEGER NOT NULL,
    "holder" TEXT NOT NULL,
    "holderId" UUID NOT NULL,
    "viaId" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "points" INTEGER NOT NULL,
    "reversesId" UUID,
    "path" TEXT COLLATE "C" NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credit_entry_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "credit_entry_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
    CONSTRAINT "credit_entry_reverses_fkey" FOREIGN KEY ("tenantId", "reversesId") REFERENCES "credit_entry",
    CONSTRAINT "credit_entry_holder_check" CHECK ("holder" IN ('person', 'organisation')),
    CONSTRAINT "credit_entry_points_check" CHECK (("points" > 0) = ("reversesId" IS NULL) AND "points" <> 0)
);
-- Whoever does it again does nothing.
CREATE UNIQUE INDEX "credit_entry_once_key" ON "credit_entry" ("tenantId", "requestId", "seq", "holderId", "viaId", "reason") WHERE "reversesId" IS NULL;
CREATE UNIQUE INDEX "credit_entry_reversesId_key" ON "credit_entry" ("tenantId", "reversesId");
CREATE INDEX "credit_entry_holder_idx" ON "credit_entry" ("tenantId", "holderId", "at", "id");
CREATE INDEX "credit_entry_at_idx" ON "credit_entry" ("tenantId", "at") INCLUDE ("path", "holder", "holderId", "points");

CALL wishwall_second_wall('rate_fact');
CALL wishwall_second_wall('rate_month');
CALL wishwall_second_wall('credit_entry');

GRANT SELECT ON "rate_fact", "rate_month", "credit_entry" TO wishwall_app;
GRANT SELECT, INSERT, UPDATE ON "rate_fact", "rate_month" TO wishwall_system;
GRANT SELECT, INSERT ON "credit_entry" TO wishwall_system;
