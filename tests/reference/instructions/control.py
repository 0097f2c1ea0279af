# Branches, calls, waits, hints, MODE and hardware registers.
from states import case, target
from vector_int import M32


def branches():
  # Each path leaves its mark: 1 where the branch is not taken, 2 where it is.
  body = '%s; s_mov_b32 s8, 1; s_branch end; there: s_mov_b32 s8, 2; end: s_nop 0'
  for number, (name, state, taken) in enumerate((('s_branch', {}, True), ('s_cbranch_scc0', {'scc': 0}, True), ('s_cbranch_scc0', {'scc': 1}, False),
                             ('s_cbranch_scc1', {'scc': 1}, True), ('s_cbranch_scc1', {'scc': 0}, False), ('s_cbranch_execz', {'exec': 0}, True),
                             ('s_cbranch_execz', {'exec': 4}, False), ('s_cbranch_execnz', {'exec': 4}, True), ('s_cbranch_execnz', {'exec': 0}, False),
                             ('s_cbranch_vccz', {'vcc': 0}, True), ('s_cbranch_vccz', {'vcc': 4}, False), ('s_cbranch_vccnz', {'vcc': 4}, True),
                             ('s_cbranch_vccnz', {'vcc': 0}, False), ('s_cbranch_cdbgsys', {}, False), ('s_cbranch_cdbguser', {}, False),
                             ('s_cbranch_cdbgsys_or_user', {}, False), ('s_cbranch_cdbgsys_and_user', {}, False))):
    text = (body % (name + ' there')).replace('there', 'there%d' % number).replace('end', 'end%d' % number)
    case(text, state, {'s8': 2 if taken else 1})
  case('s_mov_b32 s8, 0; again0: s_add_u32 s8, s8, 1; s_cmp_lt_u32 s8, 10; s_cbranch_scc1 again0', {}, {'s8': 10, 'scc': 0})


def calls():
  case('s_getpc_b64 s[8:9]', {}, {'s[8:9]': '$4'})
  case('s_nop 0; s_getpc_b64 s[8:9]', {}, {'s[8:9]': '$8'})
  case('s_setpc_b64 s[4:5]; s_mov_b32 s8, 1; s_mov_b32 s9, 2', {'s[4:5]': '$8'}, {'s9': 2})
  case('s_swappc_b64 s[8:9], s[4:5]; s_mov_b32 s10, 1; s_mov_b32 s11, 2', {'s[4:5]': '$8'}, {'s[8:9]': '$4', 's11': 2})
  case('s_swappc_b64 s[4:5], s[4:5]; s_mov_b32 s10, 1; s_mov_b32 s11, 2', {'s[4:5]': '$8'}, {'s[4:5]': '$4', 's11': 2})
  case('s_call_b64 s[8:9], called; s_mov_b32 s10, 1; called: s_mov_b32 s11, 2', {}, {'s[8:9]': '$4', 's11': 2})


def no_effect():
  for text in ('s_nop 0', 's_nop 7', 's_sleep 1', 's_setprio 3', 's_barrier', 's_waitcnt 0', 's_waitcnt vmcnt(0)', 's_icache_inv', 's_sethalt 0',
               's_incperflevel 1', 's_decperflevel 1', 's_ttracedata', 's_wakeup'):
    case(text, {}, {})
  target('rdna3')
  for text in ('s_delay_alu instid0(VALU_DEP_1)', 's_clause 0x1', 's_set_inst_prefetch_distance 0x1', 's_waitcnt_depctr 0xfff', 's_wait_idle',
               's_waitcnt_vscnt null, 0x0', 's_waitcnt_vmcnt null, 0x0', 's_waitcnt_expcnt null, 0x0', 's_waitcnt_lgkmcnt null, 0x0',
               's_ttracedata_imm 0x1', 's_wait_event 0x1', 's_version 0x1', 's_sendmsg sendmsg(MSG_DEALLOC_VGPRS)'):
    case(text, {}, {})
  target('rdna3', 'cdna3')


def modes():
  case('s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 8), 0xa5; s_getreg_b32 s8, hwreg(HW_REG_MODE, 0, 8)', {}, {'s8': 0xa5})
  case('s_setreg_b32 hwreg(HW_REG_MODE, 4, 4), s4; s_getreg_b32 s8, hwreg(HW_REG_MODE, 2, 6)', {'mode': '3f0', 's4': 0xfffffff6}, {'s8': 0x18})
  # Round up, then f32 denormals off, and what an addition makes of it.
  case('s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 2), 1; v_add_f32 v10, v20, v30', {'v20': 0x3f800000, 'v30': 0x33000000}, {'v10': 0x3f800001})
  case('s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 2), 0; v_add_f32 v10, v20, v30', {'v20': 1, 'v30': 2}, {'v10': 0})
  target('rdna3')
  case('s_round_mode 0x1; v_add_f32 v10, v20, v30', {'v20': 0x3f800000, 'v30': 0x33000000}, {'v10': 0x3f800001})
  case('s_round_mode 0x5; v_add_f16 v10.l, v20.l, v30.l', {'v10': 0, 'v20': 0x3c00, 'v30': 0x0400}, {'v10': 0x3c01})
  case('s_denorm_mode 0xc; v_add_f32 v10, v20, v30', {'v20': 1, 'v30': 2}, {'v10': 0})
  case('s_denorm_mode 0xf; v_add_f32 v10, v20, v30', {'v20': 1, 'v30': 2}, {'v10': 3})
  case('s_round_mode 0x6; s_denorm_mode 0x9; s_getreg_b32 s8, hwreg(HW_REG_MODE, 0, 8)', {}, {'s8': 0x96})
  target('rdna3', 'cdna3')


def blocks():
  target('rdna3', 'cdna3')
  branches()
  calls()
  no_effect()
  modes()
