-- Both engines run this text. {INT} {BLOB} {SMALL} {BIG} are replaced; every statement may run twice.
-- Times are epoch microseconds, uids 16 bytes, JSON is TEXT, money BIGINT minor units beside a currency.

CREATE TABLE IF NOT EXISTS wf_definition (      -- immutable, content addressed
  digest      TEXT NOT NULL PRIMARY KEY,
  name        TEXT NOT NULL,
  source      TEXT NOT NULL,
  created_us  {INT} NOT NULL
){BIG};

CREATE TABLE IF NOT EXISTS wf_instance (
  merchant    TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  workflow    TEXT NOT NULL,
  id          TEXT NOT NULL,
  start_hash  TEXT NOT NULL,
  subject     TEXT NOT NULL,
  definition  TEXT NOT NULL,
  pins        TEXT NOT NULL,
  state       TEXT NOT NULL,
  status      {INT} NOT NULL,
  ver         {INT} NOT NULL,                   -- last journal seq; every write is conditional on it
  context     TEXT NOT NULL,
  control     TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, uid),
  UNIQUE (merchant, workflow, id)
){BIG};
CREATE INDEX IF NOT EXISTS wf_instance_subject ON wf_instance (merchant, subject, uid) WHERE subject <> '';
CREATE INDEX IF NOT EXISTS wf_instance_parked ON wf_instance (merchant, uid) WHERE status = 3;

CREATE TABLE IF NOT EXISTS wf_ready (           -- slim claim row, gone when the instance has ended
  merchant    TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  wake_us     {INT} NOT NULL,                   -- next timer, end of the lease, or 2^62
  owner       TEXT NOT NULL,                    -- '' = free
  poke        {INT} NOT NULL,                   -- a signal came while it was held
  fence       {INT} NOT NULL,                   -- grows with every claim
  PRIMARY KEY (merchant, uid)
){SMALL};
CREATE INDEX IF NOT EXISTS wf_ready_due ON wf_ready (wake_us);

CREATE TABLE IF NOT EXISTS wf_journal (         -- append only
  merchant    TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  seq         {INT} NOT NULL,
  kind        {INT} NOT NULL,
  state       TEXT NOT NULL,
  step        TEXT NOT NULL,
  attempt     {INT} NOT NULL,
  idem_key    TEXT,
  fence       {INT} NOT NULL,
  body        TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, uid, seq)
){BIG};
CREATE UNIQUE INDEX IF NOT EXISTS wf_journal_intent ON wf_journal (merchant, idem_key, attempt) WHERE kind = 4;

CREATE TABLE IF NOT EXISTS wf_inbox (           -- signals that wait, and those taken, by the sender's id
  merchant    TEXT NOT NULL,
  source      TEXT NOT NULL,
  dedup       TEXT NOT NULL,
  hash        TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  name        TEXT NOT NULL,
  body        TEXT NOT NULL,
  received_us {INT} NOT NULL,
  consumed    {INT},                            -- journal seq; 0: without effect; NULL: waits
  PRIMARY KEY (merchant, source, dedup)
){BIG};
CREATE INDEX IF NOT EXISTS wf_inbox_waiting ON wf_inbox (merchant, uid, received_us) WHERE consumed IS NULL;

CREATE TABLE IF NOT EXISTS wf_outbox (
  merchant    TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  seq         {INT} NOT NULL,
  n           {INT} NOT NULL,
  topic       TEXT NOT NULL,
  body        TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, uid, seq, n)
){BIG};

CREATE TABLE IF NOT EXISTS event (              -- append only: the outbox, in the order in which it was relayed
  merchant    TEXT NOT NULL,
  position    {INT} NOT NULL,                   -- grows over all merchants; gaps are allowed
  id          TEXT NOT NULL,                    -- names the fact for ever
  topic       TEXT NOT NULL,
  subject     TEXT NOT NULL,                    -- what it is about: an order's id; '' for none
  body        TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, position)
){BIG};
CREATE INDEX IF NOT EXISTS event_subject ON event (merchant, subject, position) WHERE subject <> '';

CREATE TABLE IF NOT EXISTS delivery (           -- an event on its way to somebody outside
  merchant    TEXT NOT NULL,
  target      TEXT NOT NULL,                    -- webhook:<id>, email, sms, nats
  position    {INT} NOT NULL,
  state       {INT} NOT NULL,                   -- 0 waits, 1 delivered, 2 dead
  attempts    {INT} NOT NULL,                   -- who tries holds it under this number
  due_us      {INT} NOT NULL,
  told        TEXT NOT NULL,                    -- what the last try said
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, target, position)
){SMALL};
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due_us) WHERE state = 0;

CREATE TABLE IF NOT EXISTS webhook (            -- where a merchant is told of events
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  body        TEXT NOT NULL,
  sealed      {BLOB} NOT NULL,                  -- the key of its signatures
  created_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){SMALL};

CREATE TABLE IF NOT EXISTS notification (       -- what a customer is told in the app
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  customer    TEXT NOT NULL,
  kind        TEXT NOT NULL,
  body        TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  read_us     {INT},
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS notification_customer ON notification (merchant, customer, at_us, id);

CREATE TABLE IF NOT EXISTS customer_value (     -- what a customer has bought, by currency
  merchant    TEXT NOT NULL,
  customer    TEXT NOT NULL,
  currency    TEXT NOT NULL,
  orders      {INT} NOT NULL,
  spent       {INT} NOT NULL,                   -- minor units
  first_us    {INT} NOT NULL,
  last_us     {INT} NOT NULL,
  PRIMARY KEY (merchant, customer, currency)
){SMALL};

CREATE TABLE IF NOT EXISTS metric (             -- counted from events, by day; can be counted again at any time
  merchant    TEXT NOT NULL,
  day         TEXT NOT NULL,                    -- 2024-08-10, UTC
  name        TEXT NOT NULL,
  label       TEXT NOT NULL,                    -- product, promotion, customer; '' for all
  currency    TEXT NOT NULL,
  count       {INT} NOT NULL,
  amount      {INT} NOT NULL,                   -- minor units
  PRIMARY KEY (merchant, name, day, label, currency)
){SMALL};

CREATE TABLE IF NOT EXISTS setting (            -- settings of a merchant
  merchant    TEXT NOT NULL PRIMARY KEY,
  body        TEXT NOT NULL,
  updated_us  {INT} NOT NULL
){BIG};

CREATE TABLE IF NOT EXISTS product (
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  body        TEXT NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};

CREATE TABLE IF NOT EXISTS product_index (      -- what products are found and sorted by; written with the product
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  words       TEXT NOT NULL,                    -- name, description and SKUs, lower case
  name        TEXT NOT NULL,                    -- lower case
  currency    TEXT NOT NULL,                    -- its own
  active      {INT} NOT NULL,
  stocked     {INT} NOT NULL,
  created_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS product_index_name ON product_index (merchant, name, id);
CREATE INDEX IF NOT EXISTS product_index_newest ON product_index (merchant, created_us, id);

CREATE TABLE IF NOT EXISTS product_price (
  merchant    TEXT NOT NULL,
  product     TEXT NOT NULL,
  currency    TEXT NOT NULL,
  price       {INT} NOT NULL,                   -- lowest of what is sold, minor units
  PRIMARY KEY (merchant, product, currency)
){SMALL};
CREATE INDEX IF NOT EXISTS product_price_price ON product_price (merchant, currency, price, product);

CREATE TABLE IF NOT EXISTS product_label (
  merchant    TEXT NOT NULL,
  product     TEXT NOT NULL,
  kind        TEXT NOT NULL,                    -- category, tag
  label       TEXT NOT NULL,
  PRIMARY KEY (merchant, product, kind, label)
){SMALL};

CREATE TABLE IF NOT EXISTS product_sku (        -- each SKU has one owner; sold is 0 for that of a product with variants
  merchant    TEXT NOT NULL,
  sku         TEXT NOT NULL,
  product     TEXT NOT NULL,
  sold        {INT} NOT NULL,
  PRIMARY KEY (merchant, sku)
){SMALL};
CREATE INDEX IF NOT EXISTS product_sku_product ON product_sku (merchant, product);

CREATE TABLE IF NOT EXISTS customer (
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  body        TEXT NOT NULL,
  orders      {INT} NOT NULL,
  points      {INT} NOT NULL CHECK (points >= 0),
  points_held {INT} NOT NULL CHECK (points_held >= 0),
  lifetime    {INT} NOT NULL CHECK (lifetime >= 0),  -- points earned in all: what tiers go by
  email       TEXT NOT NULL DEFAULT '',         -- lower case: what a merchant looks for
  CHECK (points >= points_held),
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS customer_sought ON customer (merchant, id, email);  -- a search reads it alone

CREATE TABLE IF NOT EXISTS points_entry (       -- ledger: the balance is its sum and what the customer was planted with
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,                    -- <hold or order id>:<kind>, so each effect is booked once
  customer    TEXT NOT NULL,
  delta       {INT} NOT NULL,
  reason      TEXT NOT NULL,                    -- earned, redeemed, adjusted, expired, returned, reversed
  note        TEXT NOT NULL DEFAULT '',
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS points_entry_customer ON points_entry (merchant, customer, at_us);

CREATE TABLE IF NOT EXISTS stock (
  merchant    TEXT NOT NULL,
  sku         TEXT NOT NULL,
  warehouse   TEXT NOT NULL,
  on_hand     {INT} NOT NULL CHECK (on_hand >= 0),
  held        {INT} NOT NULL CHECK (held >= 0),
  low_at      {INT},                            -- the SKU's threshold, here too so that a sale need not look for it
  CHECK (on_hand >= held),
  PRIMARY KEY (merchant, sku, warehouse)
){SMALL};

CREATE TABLE IF NOT EXISTS promotion_use (      -- customer '' counts all customers
  merchant    TEXT NOT NULL,
  promotion   TEXT NOT NULL,
  customer    TEXT NOT NULL,
  used        {INT} NOT NULL CHECK (used >= 0),
  PRIMARY KEY (merchant, promotion, customer)
){SMALL};

CREATE TABLE IF NOT EXISTS hold (               -- one protocol for stock, promotion uses and points
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  kind        TEXT NOT NULL,
  what        TEXT NOT NULL,                    -- sku, promotion or customer
  place       TEXT NOT NULL,                    -- warehouse, or customer of a promotion use
  quantity    {INT} NOT NULL CHECK (quantity > 0),
  state       TEXT NOT NULL,                    -- held, committed, released
  uid         {BLOB} NOT NULL,
  expires_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS hold_of ON hold (merchant, uid);

CREATE TABLE IF NOT EXISTS cart (
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  customer    TEXT NOT NULL,
  version     {INT} NOT NULL,
  active      {INT} NOT NULL,
  body        TEXT NOT NULL,
  updated_us  {INT} NOT NULL,
  left_ver    {INT} NOT NULL DEFAULT 0,         -- version that was told as abandoned, or had nothing to tell
  PRIMARY KEY (merchant, id)
){BIG};
CREATE UNIQUE INDEX IF NOT EXISTS cart_active ON cart (merchant, customer) WHERE active = 1;
CREATE INDEX IF NOT EXISTS cart_untouched ON cart (merchant, updated_us, id) WHERE active = 1 AND left_ver < version;

CREATE TABLE IF NOT EXISTS purchase (           -- an order; the plain word is reserved in SQL
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  number      TEXT NOT NULL,
  customer    TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  status      TEXT NOT NULL,
  version     {INT} NOT NULL,
  body        TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id),
  UNIQUE (merchant, number)
){BIG};
CREATE INDEX IF NOT EXISTS purchase_customer ON purchase (merchant, customer, created_us);
CREATE INDEX IF NOT EXISTS purchase_uid ON purchase (merchant, uid);

CREATE TABLE IF NOT EXISTS payment_reference (  -- ids of a provider by which its webhooks find a checkout
  merchant    TEXT NOT NULL,
  kind        TEXT NOT NULL,                    -- as the gateway's component calls it
  value       TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  PRIMARY KEY (merchant, kind, value)
){SMALL};

CREATE TABLE IF NOT EXISTS shipment (           -- a parcel of an order; its workflow has the same id
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  purchase    TEXT NOT NULL,
  status      TEXT NOT NULL,                    -- NEW: no workflow yet
  tracking    TEXT NOT NULL,                    -- number of the carrier; '' before it is booked
  body        TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS shipment_purchase ON shipment (merchant, purchase, id);
CREATE INDEX IF NOT EXISTS shipment_age ON shipment (merchant, created_us, id);
CREATE INDEX IF NOT EXISTS shipment_tracking ON shipment (merchant, tracking) WHERE tracking <> '';
CREATE INDEX IF NOT EXISTS shipment_new ON shipment (created_us) WHERE status = 'NEW';

CREATE TABLE IF NOT EXISTS shipment_scan (      -- append only: what was told of a parcel, once by the teller's id
  merchant    TEXT NOT NULL,
  shipment    TEXT NOT NULL,
  id          TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  body        TEXT NOT NULL,
  PRIMARY KEY (merchant, shipment, id)
){BIG};
CREATE INDEX IF NOT EXISTS shipment_scan_time ON shipment_scan (merchant, shipment, at_us, id);

CREATE TABLE IF NOT EXISTS feedback (           -- what a shopper thought of an order
  merchant    TEXT NOT NULL,
  purchase    TEXT NOT NULL,
  customer    TEXT NOT NULL,
  rating      {INT} NOT NULL CHECK (rating BETWEEN 1 AND 5),
  body        TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, purchase)
){BIG};

CREATE TABLE IF NOT EXISTS review (             -- a shopper's word on a product that was delivered
  merchant    TEXT NOT NULL,
  product     TEXT NOT NULL,
  purchase    TEXT NOT NULL,
  rating      {INT} NOT NULL CHECK (rating BETWEEN 1 AND 5),
  body        TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, product, purchase)
){BIG};
CREATE INDEX IF NOT EXISTS review_age ON review (merchant, product, at_us, purchase);

CREATE TABLE IF NOT EXISTS number_block (       -- numbers are handed out in blocks; gaps are allowed
  merchant    TEXT NOT NULL,
  series      TEXT NOT NULL,
  next        {INT} NOT NULL,
  PRIMARY KEY (merchant, series)
){SMALL};

CREATE TABLE IF NOT EXISTS component (          -- immutable but for its state, content addressed
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  slot        TEXT NOT NULL,
  state       TEXT NOT NULL,                    -- uploaded, validated, compiled, ready, refused, revoked, collected
  info        TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  created_by  TEXT NOT NULL,
  PRIMARY KEY (merchant, digest, slot)
){BIG};
CREATE INDEX IF NOT EXISTS component_age ON component (merchant, created_us);
CREATE INDEX IF NOT EXISTS component_revoked ON component (merchant, digest) WHERE state = 'revoked';

CREATE TABLE IF NOT EXISTS component_wasm (     -- apart, so that a state can change without writing megabytes again
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  slot        TEXT NOT NULL,
  wasm        {BLOB} NOT NULL,
  PRIMARY KEY (merchant, digest, slot)
){BIG};

CREATE TABLE IF NOT EXISTS component_change (   -- append only: how a component came to its state
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  slot        TEXT NOT NULL,
  seq         {INT} NOT NULL,
  state       TEXT NOT NULL,
  why         TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  who         TEXT NOT NULL,
  PRIMARY KEY (merchant, digest, slot, seq)
){BIG};

CREATE TABLE IF NOT EXISTS binding_body (       -- immutable, content addressed; instances pin its digest
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  slot        TEXT NOT NULL,
  name        TEXT NOT NULL,                    -- position in an ordered slot, or the payment method
  component   TEXT NOT NULL,
  body        TEXT NOT NULL,                    -- component digest, config, origins, policy
  PRIMARY KEY (merchant, digest)
){BIG};
CREATE INDEX IF NOT EXISTS binding_body_component ON binding_body (merchant, component);

CREATE TABLE IF NOT EXISTS binding (            -- append only: what a slot of a merchant uses from a revision on
  merchant    TEXT NOT NULL,
  slot        TEXT NOT NULL,
  name        TEXT NOT NULL,
  revision    {INT} NOT NULL,
  act         TEXT NOT NULL,                    -- activate, rollback, retire, shadow, canary, promote, withdraw, return
  origin      {INT} NOT NULL,                   -- revision its active content was first used with
  digest      TEXT NOT NULL,                    -- active binding; '' when retired
  trial       TEXT NOT NULL,                    -- shadow or canary beside it, JSON; '' for none
  why         TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  created_by  TEXT NOT NULL,
  PRIMARY KEY (merchant, slot, name, revision)
){BIG};

CREATE TABLE IF NOT EXISTS in_use (             -- grows with every change of bindings, revocations and secrets
  merchant    TEXT NOT NULL PRIMARY KEY,
  version     {INT} NOT NULL
){SMALL};

CREATE TABLE IF NOT EXISTS trial_count (        -- what a shadow or canary did; hosts add to it
  merchant    TEXT NOT NULL,
  slot        TEXT NOT NULL,
  name        TEXT NOT NULL,
  revision    {INT} NOT NULL,                   -- of the binding, with which this trial began
  calls       {INT} NOT NULL,
  failed      {INT} NOT NULL,
  slow        {INT} NOT NULL,
  elapsed_us  {INT} NOT NULL,
  compared    {INT} NOT NULL,                   -- quotes of a shadow beside those of the active one
  differing   {INT} NOT NULL,
  PRIMARY KEY (merchant, slot, name, revision)
){SMALL};

CREATE TABLE IF NOT EXISTS trial_delta (
  merchant    TEXT NOT NULL,
  slot        TEXT NOT NULL,
  name        TEXT NOT NULL,
  revision    {INT} NOT NULL,
  currency    TEXT NOT NULL,
  delta       {INT} NOT NULL,                   -- sum of total differences, minor units
  PRIMARY KEY (merchant, slot, name, revision, currency)
){SMALL};

CREATE TABLE IF NOT EXISTS shadow_difference (
  merchant    TEXT NOT NULL,
  slot        TEXT NOT NULL,
  name        TEXT NOT NULL,
  revision    {INT} NOT NULL,
  uid         {BLOB} NOT NULL,                  -- of the checkout
  at_us       {INT} NOT NULL,
  body        TEXT NOT NULL,
  PRIMARY KEY (merchant, slot, name, revision, uid, at_us)
){BIG};
CREATE INDEX IF NOT EXISTS shadow_difference_age ON shadow_difference (merchant, slot, name, revision, at_us, uid);

CREATE TABLE IF NOT EXISTS lookup_table (       -- immutable, content addressed; its rows are in parts
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  rows_count  {INT} NOT NULL,
  bytes       {INT} NOT NULL,
  parts       {INT} NOT NULL,
  created_us  {INT} NOT NULL,
  created_by  TEXT NOT NULL,
  PRIMARY KEY (merchant, digest)
){SMALL};

CREATE INDEX IF NOT EXISTS lookup_table_age ON lookup_table (merchant, created_us, digest);

CREATE TABLE IF NOT EXISTS lookup_upload (      -- there before the first part is; parts go only while it is held
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  at_us       {INT} NOT NULL,                   -- last upload of any part, or of a table that was there; 0: deleted
  PRIMARY KEY (merchant, digest)
){SMALL};

CREATE TABLE IF NOT EXISTS lookup_table_part (
  merchant    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  part        {INT} NOT NULL,
  content     {BLOB} NOT NULL,
  PRIMARY KEY (merchant, digest, part)
){BIG};

CREATE TABLE IF NOT EXISTS secret (             -- sealed by the host's key; never read back by anyone
  merchant    TEXT NOT NULL,
  name        TEXT NOT NULL,
  version     {INT} NOT NULL,
  sealed      {BLOB} NOT NULL,
  updated_us  {INT} NOT NULL,
  updated_by  TEXT NOT NULL,
  PRIMARY KEY (merchant, name)
){SMALL};

CREATE TABLE IF NOT EXISTS command (            -- idempotency of HTTP commands: a pointer, not an answer
  merchant    TEXT NOT NULL,
  principal   TEXT NOT NULL,
  operation   TEXT NOT NULL,
  idem_key    TEXT NOT NULL,
  hash        TEXT NOT NULL,
  pointer     TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, principal, operation, idem_key)
){BIG};
CREATE INDEX IF NOT EXISTS command_age ON command (created_us);

CREATE TABLE IF NOT EXISTS stock_movement (     -- append only: on_hand of a SKU in a warehouse is the sum of its deltas
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,                    -- names the change, so it is made once; a sale has the id of its hold
  sku         TEXT NOT NULL,
  warehouse   TEXT NOT NULL,
  delta       {INT} NOT NULL,
  on_hand     {INT} NOT NULL,                   -- after it
  reason      TEXT NOT NULL,
  reference   TEXT NOT NULL,                    -- order, reservation, transfer or what the merchant says
  note        TEXT NOT NULL,
  who         TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS stock_movement_age ON stock_movement (merchant, at_us, id);
CREATE INDEX IF NOT EXISTS stock_movement_sku ON stock_movement (merchant, sku, at_us, id);

CREATE TABLE IF NOT EXISTS stock_threshold (    -- SKUs whose threshold is not that of the settings
  merchant    TEXT NOT NULL,
  sku         TEXT NOT NULL,
  low_at      {INT} NOT NULL CHECK (low_at >= 0),
  PRIMARY KEY (merchant, sku)
){SMALL};

CREATE TABLE IF NOT EXISTS warehouse (
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  active      {INT} NOT NULL,
  body        TEXT NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){SMALL};

CREATE TABLE IF NOT EXISTS reservation (        -- stock held for another channel; its lines are the holds of its uid
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  uid         {BLOB} NOT NULL,
  reference   TEXT NOT NULL,
  state       TEXT NOT NULL,                    -- held, confirmed, released, expired
  who         TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  expires_us  {INT} NOT NULL,                   -- a host ends it then; until one has, it holds
  ended_us    {INT},
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS reservation_due ON reservation (expires_us) WHERE state = 'held';
CREATE TABLE IF NOT EXISTS customer_preference ( -- what a customer wants to be told, where and in which language
  merchant    TEXT NOT NULL,
  customer    TEXT NOT NULL,
  body        TEXT NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, customer)
){SMALL};

CREATE TABLE IF NOT EXISTS notification_template ( -- a merchant's own words in place of those built in
  merchant    TEXT NOT NULL,
  kind        TEXT NOT NULL,
  locale      TEXT NOT NULL,
  body        TEXT NOT NULL,
  updated_us  {INT} NOT NULL,
  PRIMARY KEY (merchant, kind, locale)
){BIG};

CREATE TABLE IF NOT EXISTS rate_window (        -- how often somebody has called; used where hosts share a database
  merchant    TEXT NOT NULL,
  who         TEXT NOT NULL,
  began_us    {INT} NOT NULL,
  used        {INT} NOT NULL,
  PRIMARY KEY (merchant, who)
){SMALL};

CREATE TABLE IF NOT EXISTS gift_card (          -- money that a shop owes to whoever knows the code
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  code        TEXT NOT NULL,                    -- SHA-256 of the code: the code itself is shown once and kept nowhere
  last4       TEXT NOT NULL,
  currency    TEXT NOT NULL,
  balance     {INT} NOT NULL CHECK (balance >= 0),
  held        {INT} NOT NULL CHECK (held >= 0),
  status      TEXT NOT NULL,                    -- active, void
  expires_us  {INT},                            -- none: never
  note        TEXT NOT NULL,
  who         TEXT NOT NULL,
  created_us  {INT} NOT NULL,
  CHECK (balance >= held),
  PRIMARY KEY (merchant, id)
){BIG};
CREATE UNIQUE INDEX IF NOT EXISTS gift_card_code ON gift_card (merchant, code);

CREATE TABLE IF NOT EXISTS gift_card_entry (    -- append only: the balance of a card is the sum of its deltas
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,                    -- names the change, so it is booked once; a redemption has the id of its hold
  card        TEXT NOT NULL,
  delta       {INT} NOT NULL,
  balance     {INT} NOT NULL,                   -- after it
  reason      TEXT NOT NULL,                    -- issued, redeemed, refunded, adjusted, voided
  reference   TEXT NOT NULL,                    -- order
  note        TEXT NOT NULL,
  who         TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS gift_card_entry_card ON gift_card_entry (merchant, card, at_us, id);

CREATE INDEX IF NOT EXISTS promotion_use_customer ON promotion_use (merchant, customer, promotion);

CREATE TABLE IF NOT EXISTS campaign (           -- promotions with dates and a budget
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  name        TEXT NOT NULL,
  active      {INT} NOT NULL,
  starts_us   {INT},
  ends_us     {INT},
  currency    TEXT NOT NULL,
  budget      {INT},                            -- most it takes off, minor units; none: no limit
  orders_max  {INT},                            -- most orders; none: no limit
  promotions  TEXT NOT NULL,                    -- ids of those it covers, a JSON list
  spent       {INT} NOT NULL CHECK (spent >= 0),
  held        {INT} NOT NULL CHECK (held >= 0),
  orders      {INT} NOT NULL CHECK (orders >= 0),
  orders_held {INT} NOT NULL CHECK (orders_held >= 0),
  PRIMARY KEY (merchant, id)
){SMALL};

CREATE TABLE IF NOT EXISTS promotion_code (     -- a code that works a set number of times
  merchant    TEXT NOT NULL,
  code        TEXT NOT NULL,
  promotion   TEXT NOT NULL,
  stands_for  TEXT NOT NULL,                    -- code by which the component knows the promotion
  uses        {INT} NOT NULL CHECK (uses > 0),
  used        {INT} NOT NULL CHECK (used >= 0),
  batch       TEXT NOT NULL,
  CHECK (used <= uses),
  PRIMARY KEY (merchant, code)
){SMALL};
CREATE INDEX IF NOT EXISTS promotion_code_of ON promotion_code (merchant, promotion, code);
CREATE INDEX IF NOT EXISTS promotion_code_batch ON promotion_code (merchant, batch);
CREATE INDEX IF NOT EXISTS promotion_code_for ON promotion_code (merchant, LOWER(stands_for));

CREATE TABLE IF NOT EXISTS api_key (            -- programs of a merchant; found by the id that the key carries
  id          TEXT NOT NULL PRIMARY KEY,
  merchant    TEXT NOT NULL,
  name        TEXT NOT NULL,
  hash        TEXT NOT NULL,                    -- SHA-256 of the secret part, hexadecimal; the part itself is nowhere
  scopes      TEXT NOT NULL,                    -- a JSON list
  roles       TEXT NOT NULL,                    -- a JSON list
  who         TEXT NOT NULL,                    -- made it
  created_us  {INT} NOT NULL,
  expires_us  {INT},                            -- none: never
  revoked_us  {INT},
  used_us     {INT}                             -- within some minutes; none: never
){SMALL};
CREATE INDEX IF NOT EXISTS api_key_merchant ON api_key (merchant, created_us, id);

CREATE TABLE IF NOT EXISTS role (               -- a merchant's own words for a set of scopes
  merchant    TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  scopes      TEXT NOT NULL,                    -- a JSON list
  PRIMARY KEY (merchant, name)
){SMALL};

CREATE TABLE IF NOT EXISTS audit (              -- commands of people and programs of a merchant: written before, ended after
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  at_us       {INT} NOT NULL,
  actor       TEXT NOT NULL,
  method      TEXT NOT NULL,
  route       TEXT NOT NULL,                    -- with the names of what varies
  path        TEXT NOT NULL,
  request     TEXT NOT NULL,                    -- id of the request
  status      {INT},                            -- of the answer; none: the host ended before it
  PRIMARY KEY (merchant, id)
){BIG};
CREATE INDEX IF NOT EXISTS audit_at ON audit (merchant, at_us, id);
CREATE INDEX IF NOT EXISTS audit_actor ON audit (merchant, actor, at_us, id);
