import Foundation
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite("Where the broker comes from")
struct BrokerSourceTests {
    private func withFile(_ text: String, mode: Int, _ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = FileManager.default.createFile(
            atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        try body(path)
    }

    @Test("option, then variable, then default")
    func precedence() throws {
        let set: (String) -> String? = { $0 == "MQLOCK_BROKER" ? "amqps://env" : nil }
        #expect(try BrokerSource.uri("amqp://given").resolve(environment: set) == "amqp://given")
        #expect(try BrokerSource.environment.resolve(environment: set) == "amqps://env")
        #expect(try BrokerSource.environment.resolve(environment: { _ in nil }) == "amqp://127.0.0.1:5672")
        #expect(try BrokerSource.environment.resolve(environment: { _ in "" }) == "amqp://127.0.0.1:5672")
    }

    @Test("the scheme chooses; a message never shows the password")
    func schemes() {
        for (uri, phrase) in [
            ("kafka://u:secret@h", "is Kafka"), ("redis://u:secret@h", "'redis'"), ("u:secret@host", "no URI"),
        ] {
            let error = #expect(throws: CommandFailure.self) {
                try BrokerSource.uri(uri).resolve(environment: { _ in nil })
            }
            #expect(error?.status == 64)
            #expect(error?.message.contains(phrase) == true)
            #expect(error?.message.contains("secret") == false)
        }
    }

    @Test("a file of ours that nobody else can use")
    func file() throws {
        for mode in [0o600, 0o400] {
            try withFile("# comment\n\n  amqp://u:p@h/v \n", mode: mode) { path in
                let uri = try BrokerSource.file(path).resolve(environment: { _ in nil })
                #expect(uri == "amqp://u:p@h/v")
            }
        }
    }

    @Test("a file that others can use is refused with 77", arguments: [0o604, 0o660, 0o620, 0o644, 0o610, 0o777])
    func openFile(mode: Int) throws {
        try withFile("amqp://u:p@h", mode: mode) { path in
            let error = #expect(throws: CommandFailure.self) { try BrokerFile.read(path) }
            #expect(error?.status == 77)
            #expect(error?.message.contains("can be used by others") == true)
        }
    }

    /// A mounted secret is root's, and read by the group of who may: 0440.
    @Test("who may read a broker file: its owner, who is us or root, and the group of root's")
    func owners() {
        let (root, us, other) = (uid_t(0), uid_t(1000), uid_t(1001))
        for mode in mode_t(0)...0o777 {
            for user in [root, us] {
                #expect((BrokerFile.complaint(owner: us, mode: mode, user: us) == nil) == (mode & 0o077 == 0))
                let isGood = mode & 0o077 == 0 || mode & 0o077 == 0o040
                #expect((BrokerFile.complaint(owner: root, mode: mode, user: user) == nil) == isGood, "\(mode)")
                #expect(BrokerFile.complaint(owner: other, mode: mode, user: user) != nil)
            }
        }
    }

    @Test("a file of root's that the group may read", .enabled(if: geteuid() == 0, "run as root, who makes one"))
    func groupFile() throws {
        for mode in [0o440, 0o640] {
            try withFile("amqp://u:p@h", mode: mode) { path in
                let uri = try BrokerFile.read(path)
                #expect(uri == "amqp://u:p@h")
            }
        }
    }

    @Test("what may hold a password is withheld, and says so where it is used")
    func withheld() {
        for uri in [
            "amqp://u:p@h", "amqps://u@h/v", "kafka://u:p@h:1/t", "kafka://h:1/t?sasl.password=p",
            "kafka://h/t?ssl.key.pem=x", "amqp://h?SECRET=x",
        ] { #expect(BrokerSource.holdsSecret(uri)) }
        for uri in ["amqp://h", "amqp://127.0.0.1:5672/%2f?heartbeat=5", "kafka://h:9092/t?session=20s"] {
            #expect(!BrokerSource.holdsSecret(uri))
        }
        let error = #expect(throws: CommandFailure.self) {
            try BrokerSource.environment.resolve(environment: { _ in BrokerSource.withheld })
        }
        #expect(error?.message.contains("--pass-broker") == true)
    }

    @Test("a file with nothing useful in it is refused with 64", arguments: ["", "# only\n", "amqp://a b\n"])
    func badFile(text: String) throws {
        try withFile(text, mode: 0o600) { path in
            _ = #expect(throws: CommandFailure.self) { try BrokerFile.read(path) }
        }
    }

    @Test("no file, a folder, too much")
    func noFile() throws {
        #expect(throws: CommandFailure.self) { try BrokerFile.read("/nonexistent") }
        #expect(throws: CommandFailure.self) { try BrokerFile.read("/") }
        try withFile(String(repeating: "#\n", count: 100_000), mode: 0o600) { path in
            let error = #expect(throws: CommandFailure.self) { try BrokerFile.read(path) }
            #expect(error?.message.contains("too large") == true)
        }
    }
}
