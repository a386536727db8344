package oci

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// schedule sets priorities.
func schedule(s *script.Script, p *specs.Process) {
	if io := p.IOPriority; io != nil {
		class := slices.Index(ioClasses(), io.Class)
		s.Do("set the I/O priority", unix.SYS_IOPRIO_SET, script.N(1), script.N(0), script.N(class<<13|io.Priority)) // ioprio_set(2)
	}
	if p.Scheduler == nil {
		return
	}
	var flags uint64
	for _, f := range p.Scheduler.Flags {
		flags |= 1 << slices.Index(schedulerFlags(), f)
	}
	// struct sched_attr (sched_setattr(2)): size, policy, flags, nice, priority, runtime, deadline, period
	policy := uint64(slices.Index(schedulerPolicies(), p.Scheduler.Policy))
	attr := s.Words(48|policy<<32, flags, uint64(uint32(p.Scheduler.Nice))|uint64(uint32(p.Scheduler.Priority))<<32,
		p.Scheduler.Runtime, p.Scheduler.Deadline, p.Scheduler.Period)
	s.Do("set the scheduler", unix.SYS_SCHED_SETATTR, script.N(0), attr, script.N(0))
}

// In the order of the kernel's numbers (ioprio_set(2), linux/sched.h).
func ioClasses() []specs.IOPriorityClass {
	return []specs.IOPriorityClass{"", specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE}
}

func schedulerPolicies() []specs.LinuxSchedulerPolicy {
	return []specs.LinuxSchedulerPolicy{
		specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline,
	}
}

func schedulerFlags() []specs.LinuxSchedulerFlag {
	return []specs.LinuxSchedulerFlag{
		specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
		specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
	}
}

func checkSchedule(p *specs.Process) error {
	if io := p.IOPriority; io != nil && (!slices.Contains(ioClasses(), io.Class) || io.Priority < 0 || io.Priority > 7) {
		return fmt.Errorf("ioPriority %s %d is unknown", io.Class, io.Priority)
	}
	if p.Scheduler == nil {
		return nil
	}
	if !slices.Contains(schedulerPolicies(), p.Scheduler.Policy) {
		return fmt.Errorf("scheduler policy %q is unknown", p.Scheduler.Policy)
	}
	for _, f := range p.Scheduler.Flags {
		if !slices.Contains(schedulerFlags(), f) {
			return fmt.Errorf("scheduler flag %q is unknown", f)
		}
	}
	return nil
}
