import Foundation

/// A database server of the tests' own: in a temporary folder, reached by a socket there, gone with the test process.
///
/// No pipes, and not Foundation's `Process`: a child of another test that inherits the end of a pipe keeps it open. Files
/// and named pipes are opened close-on-exec in one step.
final class PrivateDatabase: Sendable {
    struct Failure: Error { let description: String }

    /// How to run one.
    struct Kind: Sendable {
        let name: String
        /// Prepares and starts the server in `$PWD`, says `ready`, waits for the end of the named pipe `life`, and stops
        /// the server.
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
    private let lifeline: Int32
    private let server: pid_t

    /// Starts one, which takes a second or two and none of Swift's threads.
    static func start(_ kind: Kind) async throws -> PrivateDatabase {
        try await aside { try PrivateDatabase(kind) }
    }

    private init(_ kind: Kind) throws {
        self.kind = kind
        // Short: the path of a socket has a limit of some hundred bytes.
        var template = Array("/tmp/mqlock-sql-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp") }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        let (life, said) = ("\(folder)/life", "\(folder)/said")
        mkfifo(life, 0o600)
        mkfifo(said, 0o600)
        // For reading, too, so that nobody waits for the other end to be opened.
        lifeline = open(life, O_RDWR | O_CLOEXEC)
        let answers = open(said, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(answers) }
        var command = ["sh", "-c", "cd '\(folder)' && \(kind.server)"]
        if geteuid() == 0, let nobody = getpwnam("nobody") {
            // Database servers refuse to run as root.
            let (user, group) = (nobody.pointee.pw_uid, nobody.pointee.pw_gid)
            for path in [folder, life] { chown(path, user, group) }
            command = ["setpriv", "--reuid", "\(user)", "--regid", "\(group)", "--clear-groups"] + command
        }
        server = Self.spawn(command, kind, folder, input: "/dev/null", output: said, errors: "/dev/null")
        // From here on there is a writer: to read is to wait for its word or its end.
        _ = fcntl(answers, F_SETFL, 0)
        var answer = [UInt8](repeating: 0, count: 16)
        let count = server > 0 ? read(answers, &answer, answer.count) : 0
        guard String(decoding: answer.prefix(max(count, 0)), as: UTF8.self) == "ready\n" else {
            let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "no log"
            throw Failure(description: "\(kind.name) does not start: \(log)")
        }
    }

    deinit {
        close(lifeline)
        if server > 0 { Self.wait(for: server) }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Runs statements over a connection of their own.
    /// - Returns: the rows, and what was said of errors.
    func run(_ statements: String) async throws -> (rows: [String], errors: [String]) {
        let prefix = "\(folder)/\(UUID())"
        let (input, output, errors) = (prefix + ".in", prefix + ".out", prefix + ".err")
        try Data(statements.utf8).write(to: URL(fileURLWithPath: input))
        defer { for file in [input, output, errors] { unlink(file) } }
        return try await aside { [kind, folder] in
            let client = Self.spawn(
                ["sh", "-c", "cd '\(folder)' && \(kind.client)"], kind, folder, input: input, output: output,
                errors: errors)
            guard client > 0 else { throw Failure(description: "no client of \(kind.name)") }
            Self.wait(for: client)
            return (try Self.lines(of: output), try Self.lines(of: errors))
        }
    }

    private static func lines(of path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    private static func spawn(
        _ command: [String], _ kind: Kind, _ folder: String, input: String, output: String, errors: String
    ) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT, 0o600)
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
        environment["PATH"] = (kind.programs + [environment["PATH"] ?? "/usr/bin:/bin"]).joined(separator: ":")
        // Ours may be closed to the server's user.
        environment["TMPDIR"] = folder
        // Behind the tests beside us that measure time.
        let command = ["nice", "-n", "10"] + command
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for string in arguments + variables { free(string) } }
        var pid: pid_t = 0
        return posix_spawnp(&pid, command[0], &actions, nil, &arguments, &variables) == 0 ? pid : -1
    }

    private static func wait(for process: pid_t) {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
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
                echo ready; cat life; pg_ctl -D data -m immediate stop >>log 2>&1
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
                echo ready; cat life; kill -KILL $!; wait 2>>log
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
