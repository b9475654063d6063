-- /// detection
-- title = "An address that had knocked without credentials came back with some"
-- severity = "high"
-- status = "stable"
-- attack = ["T1190", "T1078"]
-- section = [6, 1, 2]
-- categories = ["kube-audit"]
-- window = "1d"
-- step = "5m"
-- suppress = "1d"
-- key = ["cluster", "client_ip"]
-- summary = "{client_ip} was refused {doors} addresses of {cluster} without credentials, and then got in as {usernames}"
--
-- description = """
-- Who tries the API server's doors without credentials is a scanner; when a request of the same address then succeeds
-- with a token or certificate, the scanner has found one. At least three different refused requests, the success within
-- a day after the first. Addresses of Azure (lists/cluster_networks.csv, where pods and pipelines share one outbound
-- address) and lists/known_addresses.csv are left out, private ones too. Where the API server takes no anonymous
-- requests at all (they are answered 401 and bear no name) the rule is blind. No body is needed. Revoke the credential
-- and go through all it did.
-- """
-- false_positives = [
--   "An office whose scanner and people share one address: add it to lists/known_addresses.csv",
-- ]
-- follow_up = ["address-timeline", "anonymous-requests", "identity-timeline"]
-- ///

SELECT
    cluster,
    client_ip,
    count(DISTINCT door) AS doors,
    substr(string_agg(DISTINCT identity, ', ' ORDER BY identity), 1, 500) AS usernames,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        client_ip,
        time,
        CASE WHEN principal_class = 'anonymous' THEN request_uri END AS door,
        CASE WHEN principal_class <> 'anonymous' THEN username END AS identity
    FROM audit
    WHERE
        stage IN ('ResponseComplete', 'ResponseStarted')
        AND (
            (principal_class = 'anonymous' AND status_code IN (401, 403))
            OR (principal_class NOT IN ('anonymous', 'aks', 'system', 'node') AND (status_code BETWEEN 200 AND 299 OR status_code = 101))
        )
        AND is_public(client_ip)
        AND NOT listed('cluster_networks', client_ip)
        AND NOT listed('known_addresses', client_ip)
) AS request
GROUP BY cluster, client_ip
HAVING
    count(DISTINCT door) >= 3
    AND min(time) FILTER (WHERE door IS NOT NULL) < max(time) FILTER (WHERE identity IS NOT NULL)
