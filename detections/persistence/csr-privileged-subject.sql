-- /// detection
-- title = "A certificate for a system identity was requested"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1649", "T1078.001"]
-- section = [1]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} requested certificate {name} in the name of a system identity in {cluster} ({status_code}), from {client_ip}"
--
-- description = """
-- A client certificate signed by the cluster signs in as the name inside it. One for system:masters, for a controller
-- or a node (any name or group that begins with system:), or for masterclient or aksService is full control that nobody
-- can revoke. The subject is read from the request itself. Requests for kubelets' signers are left out; the API server
-- refuses system:masters, so a refusal (403) counts as well. Without a body (level Metadata, or cut inside the request)
-- the subject is not known and the rule stays silent; csr-created-or-approved reports it then. Dry runs do not count.
-- Deny the request; if it was signed, rotate the cluster's certificates.
-- """
-- false_positives = [
--   "None known",
-- ]
-- follow_up = ["object-history", "identity-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    name,
    status_code,
    object -> 'spec' ->> 'signerName' AS signer,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND (status_code BETWEEN 200 AND 299 OR status_code = 403)
    AND verb = 'create'
    AND resource = 'certificatesigningrequests'
    AND subresource IS NULL
    AND coalesce(object -> 'spec' ->> 'signerName', 'kubernetes.io/kube-apiserver-client') = 'kubernetes.io/kube-apiserver-client'
    AND regexp_like( -- base64 of PEM, itself base64 of the request with names as text; whole groups of four, so that nothing fails
        encode(
            decode(
                regexp_match(
                    regexp_replace(
                        regexp_match(
                            TRY_CAST(decode(regexp_match(object -> 'spec' ->> 'request', '^((?:[A-Za-z0-9+/]{4})+)')[1], 'base64') AS varchar),
                            '-----BEGIN CERTIFICATE REQUEST-----\s+([A-Za-z0-9+/=\s]+)-----END'
                        )[1],
                        '\s', '', 'g'
                    ),
                    '^((?:[A-Za-z0-9+/]{4})+)'
                )[1],
                'base64'
            ),
            'hex'
        ),
        '73797374656d3a|6d6173746572636c69656e74|616b7353657276696365' -- "system:", "masterclient", "aksService" in hex
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
