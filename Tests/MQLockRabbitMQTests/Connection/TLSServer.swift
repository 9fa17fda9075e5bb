import Foundation

@testable import MQLockRabbitMQ

/// A TLS server with a certificate of the test's making. It speaks HTTP: a client that trusts it gets no further than the
/// login.
final class TLSServer {
    let port: Int
    /// It reads from us: however we end, the server does, too.
    private let input: FileHandle
    private let process: Process

    /// - Parameter options: of `openssl s_server`.
    init(_ certificate: TestCertificate, options: [String] = []) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments =
            ["-c", "openssl s_server \"$@\" 2>&1 & cat >/dev/null; kill $!", "sh", "-accept", "127.0.0.1:0", "-www"]
            + ["-cert", certificate.file, "-key", certificate.keyFile] + options
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        input = standardInput.fileHandleForWriting
        _ = fcntl(input.fileDescriptor, F_SETFD, FD_CLOEXEC)
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        try process.run()
        var said = ""
        while !said.contains(#/ACCEPT .*\n/#) {
            let data = standardOutput.fileHandleForReading.availableData
            guard !data.isEmpty else { throw ConnectionFailure(.system("openssl s_server: \(said)")) }
            said += String(decoding: data, as: UTF8.self)
        }
        guard let port = said.firstMatch(of: #/ACCEPT .*:(\d+)/#).flatMap({ Int($0.output.1) }) else {
            throw ConnectionFailure(.system("openssl s_server: \(said)"))
        }
        self.port = port
    }

    deinit { try? input.close() }
}

/// A certificate and its key, in a folder of their own.
final class TestCertificate {
    let folder: URL
    var file: String { folder.appendingPathComponent("certificate.pem").path }
    var keyFile: String { folder.appendingPathComponent("key.pem").path }

    /// Signed by the authority of the test broker, or by itself.
    /// - Parameter days: for how long it is valid from now on; -1 is until yesterday.
    init(for host: String, days: Int = 1, selfSigned: Bool = false) async throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        let script = """
            cd "$1" && openssl ecparam -name prime256v1 -genkey -noout -out key.pem &&
            openssl req -new -key key.pem -subj "/CN=$2" -out request.pem && shift 2 &&
            openssl x509 -req -in request.pem -out certificate.pem -set_serial 7 "$@"
            """
        let issuer =
            selfSigned
            ? ["-signkey", keyFile] : ["-CA", try TLSBroker.file("ca.pem"), "-CAkey", try TLSBroker.file("ca.key")]
        try await Program.run(
            "/bin/sh", ["-c", script, "sh", folder.path, host, "-days", String(days)] + issuer)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
