# shellcheck shell=bash
# Certificates for one start of brokers/with. Sourced, never run, after common.sh.

# tls_make_certificates FOLDER: makes
#   ca.pem, ca.key           an authority of this run only
#   server.pem, server.key   for localhost and 127.0.0.1
#   client.pem, client.key   for the user guest, as SASL EXTERNAL takes it
# Elliptic-curve keys, which take milliseconds. Status 1 when that is impossible here: no openssl, or an unusual one.
tls_make_certificates() {
    command -v openssl >/dev/null && (
        umask 077
        mkdir -p "$1" && cd "$1" &&
            tls_key ca && openssl req -x509 -new -key ca.key -out ca.pem -days 30 -subj "/CN=MQLock test authority" \
            -config <(tls_authority_settings) &&
            tls_sign server localhost "subjectAltName=DNS:localhost,IP:127.0.0.1" serverAuth &&
            tls_sign client guest "subjectAltName=DNS:guest" clientAuth
    ) </dev/null >/dev/null 2>&1
}

tls_authority_settings() {
    printf '%s\n' '[req]' 'distinguished_name=dn' 'x509_extensions=authority' '[dn]' '[authority]' \
        'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash'
}

tls_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# tls_sign NAME COMMON-NAME SUBJECT-ALTERNATIVES PURPOSE
tls_sign() {
    tls_key "$1" && openssl req -new -key "$1.key" -out "$1.csr" -subj "/CN=$2" -config <(tls_authority_settings) &&
        openssl x509 -req -in "$1.csr" -out "$1.pem" -days 30 -CA ca.pem -CAkey ca.key \
            -set_serial "0x$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" -extfile <(printf '%s\n' \
                'basicConstraints=critical,CA:FALSE' "$3" "extendedKeyUsage=$4" \
                'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid') && rm "$1.csr"
}

# tls_uri PORT FOLDER: prints the AMQP URI of the listener that uses the certificates of FOLDER.
tls_uri() {
    # shellcheck disable=SC2016
    perl -e '
        my ($port, $file) = @ARGV;
        $file =~ s{([^A-Za-z0-9/._~-])}{sprintf "%%%02x", ord $1}ge;
        print "amqps://guest:guest\@localhost:$port?cacertfile=$file\n"' "$1" "$2/ca.pem"
}
