-- /// detection
-- title = "A webhook nobody knew changed an object"
-- severity = "high"
-- status = "stable"
-- attack = ["T1546", "T1525"]
-- section = [8]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "configurations"]
-- summary = "Webhook configurations {configurations} changed an object of {cluster} together for the first time in 30 days: {verb} {object_name} by {username}"
--
-- description = """
-- The API server notes in each record which webhook configurations changed the object. A name that never did before is
-- an injector that was installed, or one put there to add containers or read secrets. Known names in a combination that
-- is new fire as well, once. Says nothing for a cluster until seven days of its log were seen. The annotation is last in
-- a record and lost where it was cut; no body is needed. Dry runs do not count. See who wrote the configuration and what
-- it adds.
-- """
-- false_positives = [
--   "A mesh, a policy engine or an AKS feature that was turned on",
-- ]
-- follow_up = ["webhook-changes", "object-history"]
-- ///

SELECT
    cluster,
    trim(regexp_replace(
        concat(annotations, 'configuration\":\"\"mutated\":true'),
        '(?s).*?configuration\\":\\"([^"\\]*)\\"[^{}]*mutated\\":true',
        '\1 ',
        'g'
    )) AS configurations,
    username,
    verb,
    concat(resource, ' ', namespace || '/', coalesce(name, '(name not logged)')) AS object_name,
    client_ip
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND annotations LIKE '%mutated_":true%'
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
