-- /// detection
-- title = "One address fails TLS handshakes with the API server again and again"
-- severity = "low"
-- status = "stable"
-- attack = ["T1595"]
-- section = [2]
-- categories = ["kube-apiserver"]
-- window = "10m"
-- key = ["cluster", "address"]
-- suppress = "6h"
-- summary = "{address} failed {failures} TLS handshakes with the API server of {cluster} within ten minutes: {example}"
--
-- description = """
-- A hundred handshakes that fail within ten minutes are a scanner trying versions and certificates, or a client whose
-- certificates expired. Connections that are closed before they begin (EOF), as load balancers probe, do not count.
-- Needs the category kube-apiserver; the address is that of the connection, and there is no body to read. If it is
-- yours, renew its certificate; else consider authorised address ranges.
-- """
-- false_positives = [
--   "A client with an expired certificate or a wrong authority",
-- ]
-- follow_up = ["requests-by-address-range", "control-plane-errors"]
-- ///

SELECT
    cluster,
    regexp_match(message, 'TLS handshake error from \[?([0-9A-Fa-f.:]+?)\]?:[0-9]+: ')[1] AS address,
    count(*) AS failures,
    min(message) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category = 'kube-apiserver'
    AND regexp_like(message, 'TLS handshake error from \S+:[0-9]+: ')
    AND message NOT LIKE '%: EOF'
GROUP BY cluster, address
HAVING count(*) >= 100
