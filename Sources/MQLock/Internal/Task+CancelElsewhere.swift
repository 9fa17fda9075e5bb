extension Task {
    /// Cancels the task from a thread of its own, and returns at once.
    ///
    /// A task's cancellation handlers run where it is cancelled. They are often the user's, and may block: so for a task that
    /// runs the user's code this must be neither inside an actor that has others to see to, nor a loop's or a poll thread.
    package func cancelElsewhere() {
        // Without a thread, the pool has to do.
        if DetachedThread.start({ cancel() }) != 0 { _ = Task<Void, Never> { cancel() } }
    }
}
