import MQLock

/// One subcommand. Parser, help and completion are made from this table alone.
struct CommandDescriptor: Sendable {
    enum Kind: String, Sendable, Equatable, CaseIterable {
        case run, elect, show, list, observe
        case breaking = "break"
        case clean = "gc"
        case shards
        case doctor
        case fence
        case demo, bench, completion, help
        case demoWorker = "demo-worker"
        case benchWorker = "bench-worker"
        case guardian = "guard"
    }

    let kind: Kind
    let summary: String
    /// The words between options and `--` in the usage line.
    var operands = ""
    /// What shells offer for the operand.
    var operandWords: [String] = []
    /// Whether shells offer files, too.
    var takesFile = false
    var options: [OptionDescriptor] = []
    /// Whether `-- COMMAND [ARG…]` follows.
    var takesCommand = false
    /// Whether a command after `--` may follow, as the operands say.
    var mayTakeCommand = false
    /// Whether everything except the listed options is parsed elsewhere.
    var passesArguments = false
    /// Not shown, not completed, not suggested.
    var isHidden = false
    var notes = ""

    var name: String { kind.rawValue }
    var allOptions: [OptionDescriptor] { options + [.help] }
    /// Whether shells complete the words after `--` as a command.
    var completesCommand: Bool { takesCommand || mayTakeCommand }
}

extension CommandDescriptor {
    static let all = [
        run, elect, show, list, observe, breaking, clean, fence, shards, doctor, demo, bench, completion, help,
        demoWorker, benchWorker, guardian,
    ]
    static var visible: [Self] { all.filter { !$0.isHidden } }

    static func named(_ name: String) -> Self? { all.first { $0.name == name } }

    static let run = Self(
        kind: .run, summary: "run a command under a lock", operands: "NAME", options: .run + .broker,
        takesCommand: true,
        notes: """
            Waits for the lock NAME (1 to 200 bytes), runs COMMAND, releases. No shell is involved unless you name one.
            DUR is \(DurationText.accepted).

            With --once COMMAND runs once for PERIOD, whichever host comes first: a lock alone would let each of them run it,
            one after the other. When COMMAND has ended with 0, a mark is kept at the broker beside the lock, and whoever
            comes later finds it and ends with 0 (see --skip-exit-code; -v says so). When COMMAND fails, or its host dies,
            there is no mark, and the next one tries (see --mark-failures). PERIOD is a time such as 24h, 30m or 1.5h; hour,
            day, week or month, with a time zone as in day@Europe/Berlin; or a key such as 2026-11-30. 'mqlock show' shows the
            last mark.

            COMMAND gets a process group of its own and every signal that mqlock is sent, as far as it can be passed on;
            before it runs, INT, TERM, HUP, QUIT and those of timers end the wait. In its environment:
              MQLOCK_NAME, MQLOCK_OWNER   the lock and who holds it
              MQLOCK_FENCE                the fencing token: larger than that of every earlier holder
              MQLOCK_MODE                 exclusive
              MQLOCK_PERIOD               with --once: the key, or when the hour, day, week or month began
            MQLOCK_MANAGEMENT is taken out of it, and so is an MQLOCK_BROKER with a password (see --pass-broker).

            When the lock is lost, COMMAND is ended with everything that it has started; on Linux also with what has left its
            process group, elsewhere with that group. A second process, the guard, sees to it also when mqlock itself is
            killed or stopped. When COMMAND ends after INT, TERM, HUP or QUIT, what it leaves behind is ended before the
            lock is released; when it ends by itself, that goes on. Who has become another user cannot be ended by a guard
            that is not root. A unit of systemd needs KillMode=mixed, so that COMMAND is not sent TERM twice.

            \(kafkaLocks)

            --json writes objects with "event": waiting, granted, started, stopped, undelivered (a signal), lost, survivor (a
            process that cannot be ended), exited, released, failed, and of the session connected, warning, disconnected,
            suspect, foreign;
            with "time", "name" and "owner"; as they apply "fence" (as text), "waited", "held" (seconds), "pid", "status",
            "signal", "reason", "message", "holder" (who has the lock that was not obtained, if it has answered by then), and
            of a mark "period", "outcome" (completed, failed), "by", "began", "ended", "fence", "exitStatus".
            COMMAND's own output is not touched.

            Exit status: COMMAND's own, 128 + n when signal n ended it, and
              1    the lock was not obtained (-n, -w; see -E)
              64   bad usage, name or duration
              69   no session with the broker came up (without -w or -n: in 30 s), or COMMAND has ended and the broker has not
                   confirmed its mark within a minute: it may be run again
              70   internal error
              71   COMMAND, or what it has started, could not be ended in time and goes on without the lock
              77   the broker, or a file's permissions, refused us
              78   an incompatible object of that name on the broker; no such topic, or one that is not for locks
              123  the lock was lost while COMMAND ran; its own status does not count then
              126  COMMAND cannot be executed
              127  COMMAND is not found
            """)

    static let completion = Self(
        kind: .completion, summary: "print the completion script of a shell", operands: "bash|zsh|fish",
        operandWords: Completion.Shell.allCases.map(\.rawValue),
        notes: """
            bash: mqlock completion bash > ~/.local/share/bash-completion/completions/mqlock
            zsh:  mqlock completion zsh > a folder of $fpath/_mqlock
            fish: mqlock completion fish > ~/.config/fish/completions/mqlock.fish

            Behind -- a command is completed as a command, and its arguments by its own completion.
            """)

    static let help = Self(
        kind: .help, summary: "show the help of a command", operands: "[COMMAND]",
        operandWords: Kind.allCases.filter { ![.demoWorker, .benchWorker, .guardian].contains($0) }.map(\.rawValue),
        options: [.manual],
        notes: """
            The manual page, for packages: mqlock help --man > mqlock.1
            """)

    static let demoWorker = Self(
        kind: .demoWorker, summary: "one process of the demo", options: .broker, passesArguments: true, isHidden: true)

    /// Never parsed: the guard starts before anything else runs. Listed so that its name is reserved.
    static let guardian = Self(
        kind: .guardian, summary: "the guard of `run`", passesArguments: true, isHidden: true)
}

extension [OptionDescriptor] {
    fileprivate static var run: Self { OptionDescriptor.run }
    fileprivate static var broker: Self { OptionDescriptor.broker }
}
