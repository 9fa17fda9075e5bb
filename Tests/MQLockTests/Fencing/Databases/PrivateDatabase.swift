import Foundation

/// A database server of the tests' own: in a temporary folder, reached by a socket there, gone with the test process.
final class PrivateDatabase: Sendable {
    struct Failure: Error { let description: String }

    /// How to run one.
    struct Kind: Sendable {
        let name: String
        /// Prepares and starts the server in `$PWD`, says `ready`, waits for the end of its input, and stops it.
        let server: String
        /// A client that reads statements from its input and goes on after an error.
        let client: String
        /// Empties the database.
        let reset: String
        /// What `PATH` has besides.
        let programs: [String]
    }

    let kind: Kind
    private let folder: String
    private let server = Process()
    private let lifeline = Pipe()

    /// Starts one, which takes a second or two and none of Swift's threads.
    static func start(_ kind: Kind) async throws -> PrivateDatabase {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try PrivateDatabase(kind) }) }
        }
    }

    private init(_ kind: Kind) throws {
        self.kind = kind
        // Short: the path of a socket has a limit of some hundred bytes.
        var template = Array("/tmp/mqlock-sql-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp") }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        var command = ["sh", "-c", kind.server]
        if geteuid() == 0, let nobody = getpwnam("nobody") {
            // Database servers refuse to run as root.
            chown(folder, nobody.pointee.pw_uid, nobody.pointee.pw_gid)
            command =
                [
                    "setpriv", "--reuid", "\(nobody.pointee.pw_uid)", "--regid", "\(nobody.pointee.pw_gid)",
                    "--clear-groups",
                ] + command
        }
        let output = Pipe()
        prepare(server, command)
        server.standardInput = lifeline
        server.standardOutput = output
        _ = fcntl(lifeline.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
        try server.run()
        guard String(decoding: output.fileHandleForReading.availableData, as: UTF8.self) == "ready\n" else {
            let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "no log"
            stop()
            throw Failure(description: "\(kind.name) does not start: \(log)")
        }
    }

    deinit { stop() }

    private func stop() {
        try? lifeline.fileHandleForWriting.close()
        server.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Runs statements over a connection of their own.
    /// - Returns: the rows, and what was said of errors.
    func run(_ statements: String) async throws -> (rows: [String], errors: [String]) {
        let input = "\(folder)/\(UUID()).sql"
        try Data(statements.utf8).write(to: URL(fileURLWithPath: input))
        defer { try? FileManager.default.removeItem(atPath: input) }
        let client = Process()
        prepare(client, ["sh", "-c", kind.client])
        let (output, errors) = (Pipe(), Pipe())
        client.standardInput = FileHandle(forReadingAtPath: input)
        client.standardOutput = output
        client.standardError = errors
        try client.run()
        async let said = Self.lines(of: errors)
        let rows = await Self.lines(of: output)
        return (rows, await said)
    }

    private func prepare(_ process: Process, _ command: [String]) {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
        environment["PATH"] = (kind.programs + [environment["PATH"] ?? "/usr/bin:/bin"]).joined(separator: ":")
        process.environment = environment
    }

    private static func lines(of pipe: Pipe) async -> [String] {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
                let text = String(decoding: bytes, as: UTF8.self)
                continuation.resume(returning: text.split(separator: "\n").map(String.init))
            }
        }
    }
}

extension PrivateDatabase.Kind {
    /// nil where it is not installed.
    static let postgreSQL: Self? = {
        guard let programs = folder(of: "initdb", among: versions("/usr/lib/postgresql").map { "\($0)/bin" }) else {
            return nil
        }
        return Self(
            name: "PostgreSQL",
            server: """
                initdb -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 &&
                pg_ctl -D data -w -l log -o "-k $PWD -c listen_addresses= -c fsync=off" start >>log 2>&1 || exit
                echo ready; cat >/dev/null; pg_ctl -D data -m immediate stop >>log 2>&1
                """,
            client: #"exec psql -X -q -A -t -h "$PWD" -U postgres -d postgres"#,
            reset: "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n",
            programs: [programs])
    }()

    /// nil where it is not installed.
    static let mariaDB: Self? = {
        guard let programs = folder(of: "mariadbd", among: ["/usr/sbin"]),
            folder(of: "mariadb-install-db", among: []) != nil, folder(of: "mariadb", among: []) != nil
        else { return nil }
        return Self(
            name: "MariaDB",
            server: """
                mariadb-install-db --no-defaults --datadir="$PWD/data" --auth-root-authentication-method=normal \
                    --skip-test-db >log 2>&1 || exit
                mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/socket" --skip-networking \
                    --innodb-flush-log-at-trx-commit=0 >>log 2>&1 </dev/null &
                until mariadb --no-defaults -S socket -u root -e 'CREATE DATABASE t' >/dev/null 2>&1; do
                    kill -0 $! || exit; sleep 0.05
                done
                echo ready; cat >/dev/null; kill -KILL $!; wait 2>>log
                """,
            client: "exec mariadb --no-defaults -S socket -u root -N -B --force t",
            reset: "DROP DATABASE t; CREATE DATABASE t; USE t;\n", programs: [programs])
    }()

    private static func folder(of program: String, among folders: [String]) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return (folders + path.split(separator: ":").map(String.init)).first { access("\($0)/\(program)", X_OK) == 0 }
    }

    private static func versions(_ folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }.map { "\(folder)/\($0)" }
    }
}
