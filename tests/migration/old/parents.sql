-- The tables of the old application that its queue refers to.
CREATE TABLE business (id SERIAL PRIMARY KEY, name VARCHAR(255), phone_e164 VARCHAR(64));
CREATE TABLE users (id SERIAL PRIMARY KEY, email VARCHAR(255));
CREATE TABLE leads (
    id SERIAL PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES business (id), first_name VARCHAR(255),
    last_name VARCHAR(255), name VARCHAR(255), phone_e164 VARCHAR(64), status VARCHAR(32) DEFAULT 'new');
CREATE TABLE call_log (
    id SERIAL PRIMARY KEY, business_id INTEGER REFERENCES business (id), lead_id INTEGER REFERENCES leads (id),
    call_sid VARCHAR(64) UNIQUE);
CREATE TABLE outbound_lead_lists (id SERIAL PRIMARY KEY, name VARCHAR(255));
CREATE TABLE outbound_projects (id SERIAL PRIMARY KEY, name VARCHAR(255));
INSERT INTO business (name, phone_e164) VALUES ('Shop', '+12025550100'), ('Bakery', '+12025550101'), ('No phone', NULL);
