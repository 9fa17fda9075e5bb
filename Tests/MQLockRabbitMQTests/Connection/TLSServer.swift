import Foundation

@testable import MQLockRabbitMQ

/// A TLS server with a certificate of the test's making. It speaks HTTP: a client that trusts it gets no further than the
/// login.
final class TLSServer {
    let port: Int
    private let server: pid_t
    /// It is watched by one that reads from us: however this process ends, the server does, too.
    private let input: FileHandle
    private let output: FileHandle

    /// SIGKILL, because children of tests inherit that other signals are blocked.
    private static let script = """
        sh -c 'echo $$; exec openssl s_server "$@" 2>&1' sh "$@" &
        exec >/dev/null 2>&1; cat; kill -KILL $!
        """

    /// - Parameter options: of `openssl s_server`.
    init(_ certificate: TestCertificate, options: [String] = []) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments =
            ["-c", Self.script, "sh", "-accept", "127.0.0.1:0", "-www"]
            + ["-cert", certificate.file, "-key", certificate.keyFile] + options
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        (input, output) = (standardInput.fileHandleForWriting, standardOutput.fileHandleForReading)
        _ = fcntl(input.fileDescriptor, F_SETFD, FD_CLOEXEC)
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        try process.run()
        var said = ""
        while !said.contains(#/ACCEPT .*\n/#), case let data = output.availableData, !data.isEmpty {
            said += String(decoding: data, as: UTF8.self)
        }
        guard let pid = said.firstMatch(of: #/^(\d+)\n/#).flatMap({ pid_t($0.output.1) }),
            let port = said.firstMatch(of: #/ACCEPT .*:(\d+)/#).flatMap({ Int($0.output.1) })
        else {
            // Foundation keeps what runs, and with it the pipe.
            try? input.close()
            throw ConnectionFailure(.system("openssl s_server: \(said)"))
        }
        (server, self.port) = (pid, port)
    }

    /// Returns when the server has ended, of which nobody else holds the output. It has run until now, so its id is its own.
    deinit {
        kill(server, SIGKILL)
        try? input.close()
        while !output.availableData.isEmpty {}
    }
}

/// A certificate and its key, in a folder of their own.
final class TestCertificate {
    let folder: URL
    var file: String { folder.appendingPathComponent("certificate.pem").path }
    var keyFile: String { folder.appendingPathComponent("key.pem").path }

    /// Signed by the authority of the test broker, or by itself.
    /// Valid from now on for a day, or until years ago.
    init(for host: String, isExpired: Bool = false, selfSigned: Bool = false) async throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        // `openssl ca` takes dates of the past in every version; `x509` has no option for them before 3.4, and takes no
        // negative number of days from there on.
        let script = """
            cd "$1" && openssl ecparam -name prime256v1 -genkey -noout -out key.pem && : >issued && echo 07 >number &&
            printf '%s\\n' '[ca]' 'default_ca=here' '[here]' 'database=issued' 'serial=number' 'new_certs_dir=.' \
                'default_md=sha256' 'policy=any' '[any]' 'commonName=supplied' '[req]' 'distinguished_name=any' >settings &&
            openssl req -new -config settings -key key.pem -subj "/CN=$2" -out request.pem && shift 2 &&
            openssl ca -config settings -batch -notext -in request.pem -out certificate.pem "$@"
            """
        let issuer =
            selfSigned
            ? ["-selfsign", "-keyfile", keyFile]
            : ["-cert", try TLSBroker.file("ca.pem"), "-keyfile", try TLSBroker.file("ca.key")]
        let dates = isExpired ? ["-startdate", "200101000000Z", "-enddate", "200102000000Z"] : ["-days", "1"]
        try await Program.run("/bin/sh", ["-c", script, "sh", folder.path, host] + dates + issuer)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
